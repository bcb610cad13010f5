"""Published answers for the self-tests, each with its origin; hexadecimal, in the words of `selftest`."""

from collections.abc import Mapping
from typing import NamedTuple


class Published(NamedTuple):
    """One known answer: what goes in, and what the standard or its vectors say comes out."""

    name: str
    family: str
    origin: str
    kind: str
    """Which function of `selftest` computes it."""
    values: Mapping[str, str | int | None]


PUBLISHED: tuple[Published, ...] = (
    Published(
        "sha1",
        "hash",
        "FIPS 180-4, the example abc",
        "hash",
        {
            "algorithm": "sha1",
            "data": "616263",
            "answer": "a9993e364706816aba3e25717850c26c9cd0d89d",
        },
    ),
    Published(
        "sha256",
        "hash",
        "FIPS 180-4, the example abc",
        "hash",
        {
            "algorithm": "sha256",
            "data": "616263",
            "answer": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        },
    ),
    Published(
        "sha384",
        "hash",
        "FIPS 180-4, the example abc",
        "hash",
        {
            "algorithm": "sha384",
            "data": "616263",
            "answer": (
                "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7"
            ),
        },
    ),
    Published(
        "sha512",
        "hash",
        "FIPS 180-4, the example abc",
        "hash",
        {
            "algorithm": "sha512",
            "data": "616263",
            "answer": (
                "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423"
                "643ce80e2a9ac94fa54ca49f"
            ),
        },
    ),
    Published(
        "prf-hmac-sha1",
        "prf",
        "RFC 2202 3, test case 2",
        "prf",
        {
            "id": "HMAC_SHA1",
            "key": "4a656665",
            "data": "7768617420646f2079612077616e7420666f72206e6f7468696e673f",
            "answer": "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79",
        },
    ),
    Published(
        "prf-hmac-sha256",
        "prf",
        "RFC 4231 4.3, test case 2",
        "prf",
        {
            "id": "HMAC_SHA2_256",
            "key": "4a656665",
            "data": "7768617420646f2079612077616e7420666f72206e6f7468696e673f",
            "answer": "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
        },
    ),
    Published(
        "prf-hmac-sha384",
        "prf",
        "RFC 4231 4.3, test case 2",
        "prf",
        {
            "id": "HMAC_SHA2_384",
            "key": "4a656665",
            "data": "7768617420646f2079612077616e7420666f72206e6f7468696e673f",
            "answer": (
                "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e8e2240ca5e69e2c78b3239ecfab21649"
            ),
        },
    ),
    Published(
        "prf-hmac-sha512",
        "prf",
        "RFC 4231 4.3, test case 2",
        "prf",
        {
            "id": "HMAC_SHA2_512",
            "key": "4a656665",
            "data": "7768617420646f2079612077616e7420666f72206e6f7468696e673f",
            "answer": (
                "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a6d034f65f8f0e6fdcaeab1a3"
                "4d4a6b4b636e070a38bce737"
            ),
        },
    ),
    Published(
        "key-schedule-sha256",
        "key-schedule",
        "NIST CAVP, SP 800-135 IKEv2",
        "schedule",
        {
            "id": "HMAC_SHA2_256",
            "ni": "ed80dc79912c32a9",
            "nr": "35fb6d1a3feac078",
            "spi_i": "47c1858efc932ea4",
            "spi_r": "606fd05609624002",
            "shared": (
                "42968e5d0ccc3cfc5a3e4bc1bba370cea1fae0d54c49ccba34b2bee804beeb2e9e8c57a4e01bd45102cf2433aacc6cfec06792f3"
                "63e5170e6aa6650274e906648e449d27a8f00b5b44261982c9835c748a751ec5138eaacc5e025661339538a61bf418e454699e19"
                "c32db8d9ce5dd86b220f1e89afc5872e68be36cb1a0c8866"
            ),
            "seed": "37fde90b81d63692620f67367b62092e3efdc6a03509137d731004767ff35010",
            "answer": (
                "63d018a08f7a29daa7d1f92cb63f45fa39bbaf5e5f1a78139613bb891e3e6bf9d0448f7c74e05b4c1a25c0b61e62c875e852f287"
                "e192d4ae536112db5197216400bd5e123470efc15f53161865fe8b19a1416518a157d651ecd2caddab6a9eae6a27a55af088218d"
                "5156edaa9789f934d9836ed43edffda553822202ff9f7d4860ca72e0"
            ),
        },
    ),
    Published(
        "key-schedule-sha384",
        "key-schedule",
        "NIST CAVP, SP 800-135 IKEv2",
        "schedule",
        {
            "id": "HMAC_SHA2_384",
            "ni": "d672b0bc852829b9",
            "nr": "3509f3b724706364",
            "spi_i": "0f9a016d7b22223c",
            "spi_r": "85f710daf8b982d8",
            "shared": (
                "4df040b70978629c49437cff41a0d46cbea68c8d75b370ffc11d7b387144ea83bb5903fbb92e473df50a9b19ea43e9c2f3da9a84"
                "9c03864276c6f264ecf02a60d40ba65c06656b633f02a87427e928eb66a2dabd9dc05744717bcaf7ae78c296872f5c48d1a8120c"
                "2155b70c565ce271998e3e44af263d487ea3ba7f56132d7d"
            ),
            "seed": (
                "54436a9ea95d6ff79b967f4b07f6de976a376e8ea26aa9574709afc60243c9c141da4ca0e158e627a75ea87f6feb07ef"
            ),
            "answer": (
                "10b00a654643b3b985764f86e23ef62431122fcc96de16e338a372bee49391db1f83a7358c080380abbf4af47cdb83b953034316"
                "8f7dbc9221260e1546c6b383e2235d2705a727f0b41aebf6a1b4c61cb460660152a17ba74c20d5191ba6841794945270d829587b"
                "7f3294639ea7b77149e1d07230ac16e0cd5ab236fa3212bd569ee70f"
            ),
        },
    ),
    Published(
        "key-schedule-sha512",
        "key-schedule",
        "NIST CAVP, SP 800-135 IKEv2",
        "schedule",
        {
            "id": "HMAC_SHA2_512",
            "ni": "df7931db9b429e10",
            "nr": "b8aa8e4d46042393",
            "spi_i": "9ba40af9157f4792",
            "spi_r": "5383c7cd3d1046e6",
            "shared": (
                "1e3b007d2da913ca60ecc98c25a22db08073d5c35c11b2524b298a922b6abfe6acf7359db66ae5f85d67aacff686419cd8666d05"
                "ae7977cefad7f54dd8e312a8e8e5e0370f88142fbdd659dd6fde22bdd531f5402881a8de85c1024e595ec93c575618af7fd3dbac"
                "7982919078d71cc13eff1910a032750e1ff428675de189ee"
            ),
            "seed": (
                "daf9bd6f2f912da553867966af386e67909a8df0ca7e84b83b355cb7d7f1026f17d8ea34b5d57fd0d1ba389528fca1e81d1c8ce5"
                "11b28a2458241143fee30ccc"
            ),
            "answer": (
                "919a75deaeccbd393bebc89615f8a215edb7073b2319d86740221eee7a2deb92509044d7e61fcb1bf9676b3881c7ced49e6bba15"
                "49da3113601677a2445d91ac13a597335782dd3a9cf496d9e19b932f27dd35e36f8070d232d0a3b3f4c4a0b4ba4470778dc090f3"
                "1f52ab1b6d81e4c7dfb35063ad96c327adcdbde714cc9a6b5ef049b8"
            ),
        },
    ),
    Published(
        "aes-gcm-128",
        "aes-gcm",
        "Wycheproof, aes_gcm-1",
        "cipher",
        {
            "encryption": "AES_GCM_16",
            "bits": 128,
            "integrity": None,
            "key": "5b9604fe14eadba931b0ccf34843dab9028318ab",
            "iv": "c1824029138141a2",
            "aad": "",
            "data": "001d0c231287c1182784554ca3a21908",
            "answer": "c1824029138141a226073cc1d851beff176384dc9896d5ff0a3ea7a5487cb5f7d70fb6c58d038554",
        },
    ),
    Published(
        "aes-gcm-256",
        "aes-gcm",
        "Wycheproof, aes_gcm-91",
        "cipher",
        {
            "encryption": "AES_GCM_16",
            "bits": 256,
            "integrity": None,
            "key": "92ace3e348cd821092cd921aa3546374299ab46209691bc28b8752d17f123c2000112233",
            "iv": "445566778899aabb",
            "aad": "00000000ffffffff",
            "data": "00010203040506070809",
            "answer": "445566778899aabbe27abdd2d2a53d2f136b9a4a2579529301bcfb71c78d4060f52c",
        },
    ),
    Published(
        "aes-ccm-128",
        "aes-ccm",
        "NIST CAVS, CCM",
        "cipher",
        {
            "encryption": "AES_CCM_16",
            "bits": 128,
            "integrity": None,
            "key": "83ac5466c2ebe5052e01d1fc5d82662e96ac59",
            "iv": "3007a1e2a2c75524",
            "aad": "",
            "data": "19c881f6e986ff930b7867e5bbb7fc6e8377b3a60c8c9f9c352eade062f991a1",
            "answer": (
                "3007a1e2a2c75524ab6fe1691d1999a892a0c46f7ee28bb170bb8ca64c6e978a572bbe5d98a6b132da24ead9a13998fda4bed9f2"
                "1a6d22a8"
            ),
        },
    ),
    Published(
        "aes-ccm-256",
        "aes-ccm",
        "NIST CAVS, CCM",
        "cipher",
        {
            "encryption": "AES_CCM_16",
            "bits": 256,
            "integrity": None,
            "key": "abd0e9330726e5838c7695d4b6dcf346f98fade3021383773fb0f1a1a1220f2b24a78b",
            "iv": "07cbcc0ee633bff5",
            "aad": "d4db301d03fefd5f87d48cb6b6f17a5dab90658d8eca4d4f160c40904bc73673",
            "data": "f5c67d48c1b7e692975acac4a96df93d6cdebcf190ea6ab2358636af5cfe4b3a",
            "answer": (
                "07cbcc0ee633bff5836f408772cfc113efbb8021046c5809071bfcdfc03f5bc7e079a86e717c3fcf5cdab233e513e20d74d1efb5"
                "0f3ab5f8"
            ),
        },
    ),
    Published(
        "chacha20-poly1305",
        "chacha20-poly1305",
        "Wycheproof, chacha20_poly1305-1",
        "cipher",
        {
            "encryption": "CHACHA20_POLY1305",
            "bits": None,
            "integrity": None,
            "key": "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f07000000",
            "iv": "4041424344454647",
            "aad": "50515253c0c1c2c3c4c5c6c7",
            "data": (
                "4c616469657320616e642047656e746c656d656e206f662074686520636c617373206f66202739393a204966204920636f756c64"
                "206f6666657220796f75206f6e6c79206f6e652074697020666f7220746865206675747572652c2073756e73637265656e20776f"
                "756c642062652069742e"
            ),
            "answer": (
                "4041424344454647d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d63dbea45e8ca9671282fafb69"
                "da92728b1a71de0a9e060b2905d6a5b67ecd3b3692ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc"
                "3ff4def08e4b7a9de576d26586cec64b61161ae10b594f09e26a7e902ecbd0600691"
            ),
        },
    ),
    Published(
        "aes-cbc-128",
        "aes-cbc",
        "RFC 3602 4, case 1",
        "cipher",
        {
            "encryption": "AES_CBC",
            "bits": 128,
            "integrity": "NONE",
            "key": "06a9214036b8a15b512e03d534120006",
            "iv": "3dafba429d9eb430b422da802c9fac41",
            "aad": "",
            "data": "53696e676c6520626c6f636b206d7367",
            "answer": "3dafba429d9eb430b422da802c9fac41e353779c1079aeb82708942dbe77181a",
        },
    ),
    Published(
        "aes-cbc-256",
        "aes-cbc",
        "NIST CAVS, CBCMMT256",
        "cipher",
        {
            "encryption": "AES_CBC",
            "bits": 256,
            "integrity": "NONE",
            "key": "6ed76d2d97c69fd1339589523931f2a6cff554b15f738f21ec72dd97a7330907",
            "iv": "851e8764776e6796aab722dbb644ace8",
            "aad": "",
            "data": "6282b8c05c5c1530b97d4816ca434762",
            "answer": "851e8764776e6796aab722dbb644ace86acc04142e100a65f51b97adf5172c41",
        },
    ),
    Published(
        "aes-ctr-128",
        "aes-ctr",
        "RFC 3686 6",
        "cipher",
        {
            "encryption": "AES_CTR",
            "bits": 128,
            "integrity": "NONE",
            "key": "AE6852F8121067CC4BF7A5765577F39E00000030",
            "iv": "0000000000000000",
            "aad": "",
            "data": "53696E676C6520626C6F636B206D7367",
            "answer": "0000000000000000E4095D4FB7A7B3792D6175A3261311B8",
        },
    ),
    Published(
        "aes-ctr-256",
        "aes-ctr",
        "RFC 3686 6",
        "cipher",
        {
            "encryption": "AES_CTR",
            "bits": 256,
            "integrity": "NONE",
            "key": "776BEFF2851DB06F4C8A0542C8696F6C6A81AF1EEC96B4D37FC1D689E6C1C10400000060",
            "iv": "DB5672C97AA8F0B2",
            "aad": "",
            "data": "53696E676C6520626C6F636B206D7367",
            "answer": "DB5672C97AA8F0B2145AD01DBF824EC7560863DC71E3E0C0",
        },
    ),
    Published(
        "integrity-hmac-sha1-96",
        "integrity",
        "RFC 2202 3, test case 1",
        "mac",
        {
            "id": "HMAC_SHA1_96",
            "key": "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b",
            "data": "4869205468657265",
            "answer": "b617318655057264e28bc0b6",
        },
    ),
    Published(
        "integrity-hmac-sha2-256-128",
        "integrity",
        "RFC 4868 2.7.2.1",
        "mac",
        {
            "id": "HMAC_SHA2_256_128",
            "key": "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b",
            "data": "4869205468657265",
            "answer": "198a607eb44bfbc69903a0f1cf2bbdc5",
        },
    ),
    Published(
        "integrity-hmac-sha2-384-192",
        "integrity",
        "RFC 4868 2.7.2.2",
        "mac",
        {
            "id": "HMAC_SHA2_384_192",
            "key": (
                "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b"
            ),
            "data": "4869205468657265",
            "answer": "b6a8d5636f5c6a7224f9977dcf7ee6c7fb6d0c48cbdee973",
        },
    ),
    Published(
        "integrity-hmac-sha2-512-256",
        "integrity",
        "RFC 4868 2.7.2.3",
        "mac",
        {
            "id": "HMAC_SHA2_512_256",
            "key": (
                "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b"
                "0b0b0b0b0b0b0b0b0b0b0b0b"
            ),
            "data": "4869205468657265",
            "answer": "637edc6e01dce7e6742a99451aae82df23da3e92439e590e43e761b33e910fb8",
        },
    ),
    Published(
        "ecp-256",
        "ecp",
        "RFC 5903 8",
        "exchange",
        {
            "method": "ECP_256",
            "private": "c88f01f510d9ac3f70a292daa2316de544e9aab8afe84049c62a9c57862d1433",
            "public": (
                "dad0b65394221cf9b051e1feca5787d098dfe637fc90b9ef945d0c37725811805271a0461cdb8252d61f1c456fa3e59ab1f45b33"
                "accf5f58389e0577b8990bb3"
            ),
            "peer": (
                "d12dfb5289c8d4f81208b70270398c342296970a0bccb74c736fc7554494bf6356fbf3ca366cc23e8157854c13c58d6aac23f046"
                "ada30f8353e74f33039872ab"
            ),
            "answer": "d6840f6b42f6edafd13116e0e12565202fef8e9ece7dce03812464d04b9442de",
        },
    ),
    Published(
        "ecp-384",
        "ecp",
        "RFC 5903 8",
        "exchange",
        {
            "method": "ECP_384",
            "private": (
                "099f3c7034d4a2c699884d73a375a67f7624ef7c6b3c0f160647b67414dce655e35b538041e649ee3faef896783ab194"
            ),
            "public": (
                "667842d7d180ac2cde6f74f37551f55755c7645c20ef73e31634fe72b4c55ee6de3ac808acb4bdb4c88732aee95f41aa9482ed1f"
                "c0eeb9cafc4984625ccfc23f65032149e0e144ada024181535a0f38eeb9fcff3c2c947dae69b4c634573a81c"
            ),
            "peer": (
                "e558dbef53eecde3d3fccfc1aea08a89a987475d12fd950d83cfa41732bc509d0d1ac43a0336def96fda41d0774a3571dcfbec7a"
                "acf3196472169e838430367f66eebe3c6e70c416dd5f0c68759dd1fff83fa40142209dff5eaad96db9e6386c"
            ),
            "answer": (
                "11187331c279962d93d604243fd592cb9d0a926f422e47187521287e7156c5c4d603135569b9e9d09cf5d4a270f59746"
            ),
        },
    ),
    Published(
        "ecp-521",
        "ecp",
        "RFC 5903 8",
        "exchange",
        {
            "method": "ECP_521",
            "private": (
                "0037ade9319a89f4dabdb3ef411aaccca5123c61acab57b5393dce47608172a095aa85a30fe1c2952c6771d937ba9777f5957b26"
                "39bab072462f68c27a57382d4a52"
            ),
            "public": (
                "0015417e84dbf28c0ad3c278713349dc7df153c897a1891bd98bab4357c9ecbee1e3bf42e00b8e380aeae57c2d10756494188594"
                "2af5a7f4601723c4195d176ced3e017cae20b6641d2eeb695786d8c946146239d099e18e1d5a514c739d7cb4a10ad8a788015ac4"
                "05d7799dc75e7b7d5b6cf2261a6a7f1507438bf01beb6ca3926f9582"
            ),
            "peer": (
                "00d0b3975ac4b799f5bea16d5e13e9af971d5e9b984c9f39728b5e5739735a219b97c356436adc6e95bb0352f6be64a6c2912d4e"
                "f2d0433ced2b6171640012d9460f015c68226383956e3bd066e797b623c27ce0eac2f551a10c2c724d9852077b87220b6536c5c4"
                "08a1d2aebb8e86d678ae49cb57091f4732296579ab44fcd17f0fc56a"
            ),
            "answer": (
                "01144c7d79ae6956bc8edb8e7c787c4521cb086fa64407f97894e5e6b2d79b04d1427e73ca4baa240a34786859810c06b3c715a3"
                "a8cc3151f2bee417996d19f3ddea"
            ),
        },
    ),
    Published(
        "brainpool-256",
        "brainpool",
        "RFC 7027 A",
        "exchange",
        {
            "method": "BRAINPOOL_256",
            "private": "81db1ee100150ff2ea338d708271be38300cb54241d79950f77b063039804f1d",
            "public": None,
            "peer": (
                "8d2d688c6cf93e1160ad04cc4429117dc2c41825e1e9fca0addd34e6f1b39f7b990c57520812be512641e47034832106bc7d3e8d"
                "d0e4c7f1136d7006547cec6a"
            ),
            "answer": "89afc39d41d3b327814b80940b042590f96556ec91e6ae7939bce31f3a18bf2b",
        },
    ),
    Published(
        "brainpool-384",
        "brainpool",
        "RFC 7027 A",
        "exchange",
        {
            "method": "BRAINPOOL_384",
            "private": (
                "1e20f5e048a5886f1f157c74e91bde2b98c8b52d58e5003d57053fc4b0bd65d6f15eb5d1ee1610df870795143627d042"
            ),
            "public": None,
            "peer": (
                "4d44326f269a597a5b58bba565da5556ed7fd9a8a9eb76c25f46db69d19dc8ce6ad18e404b15738b2086df37e71d1eb462d69213"
                "6de56cbe93bf5fa3188ef58bc8a3a0ec6c1e151a21038a42e9185329b5b275903d192f8d4e1f32fe9cc78c48"
            ),
            "answer": (
                "0bd9d3a7ea0b3d519d09d8e48d0785fb744a6b355e6304bc51c229fbbce239bbadf6403715c35d4fb2a5444f575d4f42"
            ),
        },
    ),
    Published(
        "brainpool-512",
        "brainpool",
        "RFC 7027 A",
        "exchange",
        {
            "method": "BRAINPOOL_512",
            "private": (
                "16302ff0dbbb5a8d733dab7141c1b45acbc8715939677f6a56850a38bd87bd59b09e80279609ff333eb9d4c061231fb26f92eeb0"
                "4982a5f1d1764cad57665422"
            ),
            "public": None,
            "peer": (
                "9d45f66de5d67e2e6db6e93a59ce0bb48106097ff78a081de781cdb31fce8ccbaaea8dd4320c4119f1e9cd437a2eab3731fa9668"
                "ab268d871deda55a5473199f2fdc313095bcdd5fb3a91636f07a959c8e86b5636a1e930e8396049cb481961d365cc11453a06c71"
                "9835475b12cb52fc3c383bce35e27ef194512b71876285fa"
            ),
            "answer": (
                "a7927098655f1f9976fa50a9d566865dc530331846381c87256baf3226244b76d36403c024d7bbf0aa0803eaff405d3d24f11a9b"
                "5c0bef679fe1454b21c4cd1f"
            ),
        },
    ),
    Published(
        "curve25519",
        "curve25519",
        "RFC 7748 5.2",
        "exchange",
        {
            "method": "CURVE25519",
            "private": "a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
            "public": None,
            "peer": "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
            "answer": "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552",
        },
    ),
    Published(
        "curve448",
        "curve448",
        "RFC 7748 5.2",
        "exchange",
        {
            "method": "CURVE448",
            "private": (
                "3d262fddf9ec8e88495266fea19a34d28882acef045104d0d1aae121700a779c984c24f8cdd78fbff44943eba368f54b29259a4f"
                "1c600ad3"
            ),
            "public": None,
            "peer": (
                "06fce640fa3487bfda5f6cf2d5263f8aad88334cbd07437f020f08f9814dc031ddbdc38c19c6da2583fa5429db94ada18aa7a7fb"
                "4ef8a086"
            ),
            "answer": (
                "ce3e4ff95a60dc6697da1db1d85e6afbdf79b50a2412d7546d5f239fe14fbaadeb445fc66a01b0779d98223961111e21766282f7"
                "3dd96b6f"
            ),
        },
    ),
    Published(
        "ml-kem-768",
        "ml-kem",
        "NIST, FIPS 203 known answers, count 0",
        "kem",
        {
            "method": "ML_KEM_768",
            "private": (
                "1e4a2ca895cb087185731dd460f9722ee89e2a81a088193f4a67aa9fb82ef278cad10dbd91da009ebecac3bc844a7886a95174f5"
                "283b3c98885aa9e4bb62e785"
            ),
            "public_sha256": "70691db35b1399de12dd251d5cbd273f2e9fc8d2b80977f768039c6fb6f55cc2",
            "peer": (
                "289e2c84ca50138385f7c8868248444bf7ab9dd93661f16213e8861f327a9e8672628565a818f18b4b2dc0d5220ee63f5290f506"
                "ed215d2a1f42db53d9261876ae3038f758d9c85eaea1e658850e182ed35c110b357693a24434ecdba70bd47a9a05c352fe54186f"
                "52ce38160ad71534f1d1f4e15ae2e22f2fab5705d1e44d5ae2e68187a95d1ff05c65a340c274172e6d9e57c2cb8ae68ceb283fc1"
                "ba244e0fd403b851ac66ce6a795da7b310e8aa426a5b2f8183e2a3b9d62921693f724f382a0f3ddb18847d602cb5e226df396f4a"
                "84a901f90ec8c5445a0286934354f1d95cdca9e78cd67f05a26cb1afdd0cfca79d3121816463652525a4976d0bb381b94d6e6281"
                "e697d4756f0a7034760757bd477704c8c82a532fda24e5933d56bc7b7171c96ed70703452513133d30804b5cedced06bfdd8e639"
                "8b19e3c79efd3b10e7fa5403504af26a3a5a02082794f302ae1c2673e7e809422ba6c3e614b4d974c3f1f0014d41ed58760bad8f"
                "61a2c85f161587ab463821aea9262e21111e38be0046ee108e900c7101ce50113123a21b3432c984edb8001d4de6253a2f2bc6e2"
                "ece18ff213a39191987c8ab6cea58fb766bcd01324740d5efe84b951fa49cafe22e749745091fc07418b348f2b8b1f5ab37a8e44"
                "5534c298d98ade21e8597e26e3ef8930480eaefa09c8f34e2c4bd361137c8c12ede2930e5ceb02b6d755c9fe1d2e93c218d9bed5"
                "5337fa96df87061351c180523dabf50353299b0a3280ddd149d1196af6cd03b460b463524f428ae1302c8fb8cb364c8c27e4f345"
                "c1ed7177027586c6c436ec15870cf406e340ebcbc8bc51619960a5c2ab8de1396cb6dff0be0582260019e1b14626b3662b8b3b3e"
                "7ec7392a9302db1af0918b9244b2c8fca09f93079d7362d2743ede3f158cb99e91b9767aca7d8098e9e7a227c04ade3c8bdf0cfd"
                "951ea3f8758e260e773fbd3201d47cad55dd91753f9769f34e78d655e878d768f6715041cce5fff133a67f2996ac6702d59cc380"
                "866d8c00f76ab48f56c7f701d2b232428b93ad832a53e24f8b2b3583bd930e5d2b1da55d54d3f9c0e976f9213be670495d7d9f2a"
                "5c40f9bcc101ebb92288ac8c1bbc43b7166c3ca76d2b260ed97d6f5f0b178ba61bc76fc16059d2d6312f6b0e32d72a449a1c808e"
                "771bd2a591b9bd420508ad13edbd6c367d3ec2b50eeb500071229f7477074f9cf05c5452c5d70b37aa76f0649d3fb0fbbb5d5562"
                "0373e7fa6283c1d052f96420afce965cc7eddb7f06dd02e444803e378b89b4b345228177f9b5322ee8516cfc7cf3be3f9cbcbf15"
                "4bcab49380b921ad59f05d538f2563c7eb83fd15befc04d426e887b77155f2e48fd3eea9baab37612e5b8797861e9502a78aa7d7"
                "82cf98e5b2f91e3e865f8707319f7f2e7a1f7f145df6041eb2af5edc410d05246847b54f02b5691f60affb9330b014863e9617ba"
                "5cfba2beea6e5c9e6b0623b021121966594ca445ddc90e39f435374c1d7dc6bb0b9b71cc63d8c8a1296f756b124d6c87"
            ),
            "answer": "10eb1933156145f0cec7456f4af77b639a4ddda4273a55ac6833e7905e68e9e6",
        },
    ),
    Published(
        "ml-kem-1024",
        "ml-kem",
        "NIST, FIPS 203 known answers, count 0",
        "kem",
        {
            "method": "ML_KEM_1024",
            "private": (
                "1e4a2ca895cb087185731dd460f9722ee89e2a81a088193f4a67aa9fb82ef278cad10dbd91da009ebecac3bc844a7886a95174f5"
                "283b3c98885aa9e4bb62e785"
            ),
            "public_sha256": "5f894d5f312452a40054c438082926f914f510910c524e428b72a1da6a8e2c61",
            "peer": (
                "1b71b780122875806d8c3265e916c12edc2260faa65e62a906409d5c4904983bb589525dab3cd8084354a80a98138eae58731019"
                "1b5b0176699dad6ea39d01469bf96001be0b589ee70574ead92885e9da1ad5e9ae6ca6d428458c7693cb221ce44a939c1f39923a"
                "67c2839edb72e7a6fb6c491d6834029de4124c08fe33430890425ba62ce7e4aed276f92890f2eb78982a71d8bd3c1355a4f5ef35"
                "7f78d0ea3c1dc5d49eefea0b0acfca835aa0b86a8a372cdc6824453b7aafaea622630150d1205903976ae86a2574c033b6d36250"
                "27badffaa15946631a9c1df0735e98065e40135604331b254977e2678767ce24d3bbb72aaaeb51a2389737274d8e6563fe2685f5"
                "6c360223b7d49930a1991bf413ba74f8c866d3bcf0763dda922ce5165dd3d21b606a76d83d80ba4fe65f844f80c59d9c496a42c7"
                "5be8d395595b3a4da9ccbb6e938209e6fb5dc3b4ae7a24340d8501ffc8ce534a55714d498daab0ed47156e9c338a0fd60ceb13bb"
                "333e923518ed9c7b75f6cc625e79ed98f9c36f9c7c0cdd7f4164c0807cfcb7ad6f0794631503db96922e3e0460e0b3be374708b8"
                "10bf3fa0f8747dba1f7590c23ecdc1792938d92f8935cef2d0e8461b592de2e997122342e49606f1e9b3bf6aec44811280b7db12"
                "7511dd9dc1c0c84e73ea18a2206062a4d0a4cdf758b640bd5162526151d28462fe04692c65b95edc366fb498020acef359fe17d7"
                "b9c8d9bdfd6228cfdda459b30cb2fb0a915671a565c235e0b3141371d35b74c750bec9b61b63964dc5cbcdb269c1a38a9f694041"
                "a67ffaf368e5da7050f0dabd993d390557979ed584de312c376600f664582602f60213356d3130c6f5e59fe43502bc824cb7d776"
                "b72c9c9665a868e407c0ee32b793fc2a2276ccd113a9a47666607497ffc49b08e4f298ab702f0e8bb36ff499966c1b8511fece95"
                "1816370415711a7cbd291e2935596d47cff7bb38de64254c3299f78343dd5ca42a717130acd9a9ee9313618b07e0336e89b3e440"
                "ad8ca67e3aa1264d27d581ab81d88ec51b8d460ffb3ce481125a1f2e6f945e16a73db72172fe0fa8c471c1af59dada7d25492167"
                "5df6d3795af70e4b6f9f93da351cec5a587e06f6402bedfdd204c43f5e8ace499182eb1c77352caf666df9ac86b031c06a301705"
                "f3fb8dd914bb7aa2d79312e4102950d94d33441aa10b2338eb51377b3ebc6624a5c28d8a80fe14549467145ad2af58509069fc1e"
                "651d103d85fa6c268a730f7e934a1cca313c1c87aa176f0ec78adb34251ef7b01bc5d5c7b197c9a75cfb3623ee6abbed5dcfa425"
                "0b43a5d4654f71d3bfac945fa48aca6361c405566aa41fbe42f86ef873d77eba8f07c144f3203e3d72518b9735a3aade0abb555b"
                "c214109843a97f60ec8e4f25dae2c0ed42633742f248901f17b842eff5c180a0c402a66bab0117dcfd187f405d2676cd2888de34"
                "cb1c21b520bdfcbfee3a4ca3ec0ac39ae039708a2f9d4d70293e17814978db094236753412675535b53d4379cb5aae38fa36323f"
                "e2f89077bb4f1858246e96e3d745f52283d474a442903632f0dec1326d72779044b53463e8886cf1d6d7d8e16b08ba51d1d84e9a"
                "f2841d74f813caf2fd1d447430a30031ac93ccd20168ff5ceca91a587c79353beecb935e3ed91180504ac288082daafcf03f39ac"
                "4bc8f4b44273919d384e148a31290717465416235090609d35cc0912c65282c332fa933db413811cac15645f95d4bfb0730e982c"
                "7b91abc2f162f3e5909b5756918ad3052ec196fd783f81b8fc619829194316a88db00ebb1c6d7a8eec2a30cf6664f684f5e7bb1d"
                "f9bc2ef5b9980297854afe13e67ea2e97a402622e6e88d8e21b9dc3fdcf6db3f10f9d637956e209340162783b3460a289d6a839c"
                "2ee30c69af48cbc34bbc998c85b918cf6168c9508ed5b7a25f78aee3eb4bb6270ae2a2036b0969e09c3f5d05f2849879f6f01c6b"
                "762db81aa5ed8c9784d55ed1beb963b60416d0cb164db9a156889eb5bd725979b5ff11a128b46a0ecceb37140af5d1e8852b06c9"
                "a2276ca1fe280f8e9ceddb9a370eca0f30f1bb7bcac89b81074f112d55c3a7cdc081dfc7ef4bde07a3fcb3af6e2533b8aa79f609"
                "59c7e21837995c298920022e96f1e038a3061a67306313f90c7b267123d052ed3e51fd364e319eabe77a9410c9c55ef06a38338e"
                "7b8434e00730cf57"
            ),
            "answer": "a1f646307eb40aabe713e10cc369b47018a3adb191ae9d7ccf07fcd255ca771d",
        },
    ),
    Published(
        "modp-2048",
        "modp",
        "RFC 3526 3, computed from its prime with plain integers",
        "modp",
        {
            "method": "MODP_2048",
            "private": "810102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f2021222324252627",
            "peer_private": "8227262524232221201f1e1d1c1b1a191817161514131211100f0e0d0c0b0a090807060504030201",
            "answer": (
                "ce58f893fd5de3ce9b43c29e3bc8238e8c42abe9524d0bd3293882b7423858de09dad9cabc67a74ea16809034a26fcd72065eee5"
                "a12a587b8b09aa467b3e0a7f"
            ),
        },
    ),
    Published(
        "modp-3072",
        "modp",
        "RFC 3526 4, computed from its prime with plain integers",
        "modp",
        {
            "method": "MODP_3072",
            "private": (
                "810102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f30313233"
                "34353637"
            ),
            "peer_private": (
                "8237363534333231302f2e2d2c2b2a292827262524232221201f1e1d1c1b1a191817161514131211100f0e0d0c0b0a0908070605"
                "04030201"
            ),
            "answer": (
                "0b44f825ee403446176be51ed46b4fc5ef72cf519957eded7f66634cfbf61f9ba0469d2251c71e2386bc1c41bdd523990a6c33ea"
                "bc749cf7d42604f141f3a338"
            ),
        },
    ),
    Published(
        "modp-4096",
        "modp",
        "RFC 3526 5, computed from its prime with plain integers",
        "modp",
        {
            "method": "MODP_4096",
            "private": (
                "810102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f30313233"
                "3435363738393a3b"
            ),
            "peer_private": (
                "823b3a393837363534333231302f2e2d2c2b2a292827262524232221201f1e1d1c1b1a191817161514131211100f0e0d0c0b0a09"
                "0807060504030201"
            ),
            "answer": (
                "ebe2b1305e63665a5c1142c3540aa5fb0cf066798fa9bce4732c19f5cfb3e9b3b8b2e5ea1ebdd5e5a33ba5293503335dc0606269"
                "3261d51c142c4f38986a4f2c"
            ),
        },
    ),
    Published(
        "ecdsa-p256-sha256",
        "ecdsa",
        "RFC 6979 A.2.5, sample",
        "ecdsa",
        {
            "scheme": "ecdsa-sha256",
            "curve": 256,
            "private": "c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721",
            "data": "73616d706c65",
            "answer": (
                "3046022100efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716022100f7cb1c942d657c41d436c7a1"
                "b6e29f65f3e900dbb9aff4064dc4ab2f843acda8"
            ),
        },
    ),
    Published(
        "ecdsa-p384-sha384",
        "ecdsa",
        "RFC 6979 A.2.6, sample",
        "ecdsa",
        {
            "scheme": "ecdsa-sha384",
            "curve": 384,
            "private": (
                "6b9d3dad2e1b8c1c05b19875b6659f4de23c3b667bf297ba9aa47740787137d896d5724e4c70a825f872c9ea60d2edf5"
            ),
            "data": "73616d706c65",
            "answer": (
                "306602310094edbb92a5ecb8aad4736e56c691916b3f88140666ce9fa73d64c4ea95ad133c81a648152e44acf96e36dd1e80fabe"
                "4602310099ef4aeb15f178cea1fe40db2603138f130e740a19624526203b6351d0a3a94fa329c145786e679e7b82c71a38628ac8"
            ),
        },
    ),
    Published(
        "ecdsa-p521-sha512",
        "ecdsa",
        "RFC 6979 A.2.7, sample",
        "ecdsa",
        {
            "scheme": "ecdsa-sha512",
            "curve": 521,
            "private": (
                "00fad06daa62ba3b25d2fb40133da757205de67f5bb0018fee8c86e1b68c7e75caa896eb32f1f47c70855836a6d16fcc1466f6d8"
                "fbec67db89ec0c08b0e996b83538"
            ),
            "data": "73616d706c65",
            "answer": (
                "308187024200c328fafcbd79dd77850370c46325d987cb525569fb63c5d3bc53950e6d4c5f174e25a1ee9017b5d450606add152b"
                "534931d7d4e8455cc91f9b15bf05ec36e377fa0241617cce7cf5064806c467f678d3b4080d6f1cc50af26ca209417308281b68af"
                "282623eaa63e5b5c0723d8b8c37ff0777b1a20f8ccb1dccc43997f1ee0e44da4a67a"
            ),
        },
    ),
    Published(
        "ed25519",
        "ed25519",
        "RFC 8032 7.1, test 2",
        "eddsa",
        {
            "scheme": "ed25519",
            "private": "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
            "data": "72",
            "answer": (
                "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eae"
                "b4302aeeb00d291612bb0c00"
            ),
        },
    ),
    Published(
        "ed448",
        "ed448",
        "RFC 8032 7.4, 1 octet",
        "eddsa",
        {
            "scheme": "ed448",
            "private": (
                "c4eab05d357007c632f3dbb48489924d552b08fe0c353a0d4a1f00acda2c463afbea67c5e8d2877c5e3bc397a659949ef8021e95"
                "4e0a12274e"
            ),
            "data": "03",
            "answer": (
                "26b8f91727bd62897af15e41eb43c377efb9c610d48f2335cb0bd0087810f4352541b143c4b981b7e18f62de8ccdf633fc1bf037"
                "ab7cd779805e0dbcc0aae1cbcee1afb2e027df36bc04dcecbf154336c19f0af7e0a6472905e799f1953d2a0ff3348ab21aa4adaf"
                "d1d234441cf807c03a00"
            ),
        },
    ),
    Published(
        "rsa-pkcs1-sha1-sign",
        "rsa-pkcs1",
        "RSA Laboratories, PKCS#1 v1.5 signature example 15.1",
        "rsa-sign",
        {
            "scheme": "rsa-pkcs1-sha1",
            "modulus": (
                "df271fd25f8644496b0c81be4bd50297ef099b002a6fd67727eb449cea566ed6a3981a71312a141cabc9815c1209e320a25b3246"
                "4e9999f18ca13a9fd3892558f9e0adefdd3650dd23a3f036d60fe398843706a40b0b8462c8bee3bce12f1f2860c2444cdc6a4447"
                "6a75ff4aa24273ccbe3bf80248465f8ff8c3a7f3367dfc0df5b6509a4f82811cedd81cdaaa73c491da412170d544d4ba96b97f0a"
                "fc8065498d3a49fd910992a1f0725be24f465cfe7e0eabf678996c50bc5e7524abf73f15e5bef7d518394e3138ce4944506aaaaf"
                "3f9b236dcab8fc00f87af596fdc3d9d6c75cd508362fae2cbeddcc4c7450b17b776c079ecca1f256351a43b97dbe2153"
            ),
            "exponent": "010001",
            "private": (
                "5bd910257830dce17520b03441a51a8cab94020ac6ecc252c808f3743c95b7c83b8c8af1a5014346ebc4242cdfb5d718e30a733e"
                "71f291e4d473b61bfba6dacaed0a77bd1f0950ae3c91a8f90111882589e1d62765ee671e7baeea309f64d447bbcfa9ea12dce05e"
                "9ea8939bc5fe6108581279c982b308794b3448e7f7b952292df88c80cb40142c4b5cf5f8ddaa0891678d610e582fcb880f0d707c"
                "af47d09a84e14ca65841e5a3abc5e9dba94075a9084341f0edad9b68e3b8e082b80b6e6e8a0547b44fb5061b6a9131603a5537dd"
                "abd01d8e863d8922e9aa3e4bfaea0b39d79283ad2cbc8a59cce7a6ecf4e4c81ed4c6591c807defd71ab06866bb5e7745"
            ),
            "data": (
                "f45d55f35551e975d6a8dc7ea9f488593940cc75694a278f27e578a163d839b34040841808cf9c58c9b8728bf5f9ce8ee811ea91"
                "714f47bab92d0f6d5a26fcfeea6cd93b910c0a2c963e64eb1823f102753d41f0335910ad3a977104f1aaf6c3742716a9755d11b8"
                "eed690477f445c5d27208b2e284330fa3d301423fa7f2d086e0ad0b892b9db544e456d3f0dab85d953c12d340aa873eda727c8a6"
                "49db7fa63740e25e9af1533b307e61329993110e95194e039399c3824d24c51f22b26bde1024cd395958a2dfeb4816a6e8adedb5"
                "0b1f6b56d0b3060ff0f1c4cb0d0e001dd59d73be12"
            ),
            "answer": (
                "b75a5466b65d0f300ef53833f2175c8a347a3804fc63451dc902f0b71f9083459ed37a5179a3b723a53f1051642d77374c4c6c8d"
                "bb1ca20525f5c9f32db776953556da31290e22197482ceb69906c46a758fb0e7409ba801077d2a0a20eae7d1d6d392ab4957e86b"
                "76f0652d68b83988a78f26e11172ea609bf849fbbd78ad7edce21de662a081368c040607cee29db0627227f44963ad171d2293b6"
                "33a392e331dca54fe3082752f43f63c161b447a4c65a6875670d5f6600fcc860a1caeb0a88f8fdec4e564398a5c46c87f68ce070"
                "01f6213abe0ab5625f87d19025f08d81dac7bd4586bc9382191f6d2880f6227e5df3eed21e7792d249480487f3655261"
            ),
        },
    ),
    Published(
        "rsa-pkcs1-sha256",
        "rsa-pkcs1",
        "NIST CAVS, SigGen15_186-3, 2048 bits",
        "rsa-verify",
        {
            "scheme": "rsa-pkcs1-sha256",
            "modulus": (
                "a564d3d06be468a46958d56bb4884e2c4c28f538b7e15df35330505177789d3e1d792ad7aec7fc80a8cccf7ed403047110040172"
                "4bd4636a8a8244180cc655e256c00e778efe8bea55ab52d3a557075e35039d687cc0755b939a44a73033a0a6f09d2d6ae7e65933"
                "80718be00814d20567b1d7d48b633735e423017ff0a7b406d822f45fbb4d234028ca78abb702b18fcce13d2f69148ef584e9aaf2"
                "83caab38f6946d342d600c6e77b7370a05ff302e5483b0faad3103d0b3e8c9c8e9eca1d4a871bdbd09585eb00dc3a488271cf6a3"
                "b767e68ea9bd2c83e8c89fd047f17915cf6a4c05bb9222b7e4470df5f3f1a28324c1aafcbb2236d2293041d128b0e15f"
            ),
            "exponent": "1001",
            "data": (
                "8f51ec6359d7efe1898274fa89ea4a91b8bbf95e05fef84bbc9a201e9f1a615939b0b45e6f7a50d7580521554f1076374692face"
                "5dfee5bfb3c573a87b1c96065301e756d278e37a601b545f4bd10ddd17dedade151cb7c33787400322ff6915854a6f91a9590f92"
                "4accf55ea6b87749d3a783d655e0d620f0e96f78bb4b4450"
            ),
            "answer": (
                "795b0d51721469dcdf14df08eacaa83af79c2734226b3c8e048cbc4bd44ed7dc6c1efaefe1c71f017a87641827a0d3af287e8c27"
                "efa7cebfc9435efc7f6eab1e373551887217d08313e8ae5ef0b0efcb87c49c1f2898fcc117ac7db229d34bd4ac39a4f91377f4b5"
                "a038338e7d4cf530e4e00ff67bf257e27e55fa6d2c0eb21ad0bcfd65f9ea760a440cab4f904d4b817604289bc8ff96fb07c0a23b"
                "5d31abffa706241d47fb42ef09b7bec820e6076ebe7e1e0f4eefe755bab2cbcae557aab8208bb681d5381c1d09b4ccf1100f33ca"
                "d1990efb507062ea51de3dfae0821f106b4b052244c379d0d32de7a56ee17a7d9a5dca2b472f0d3eefa05f4e02fc0295"
            ),
        },
    ),
    Published(
        "rsa-pss-sha256",
        "rsa-pss",
        "Wycheproof, rsa_pss_2048_sha256_mgf1_32",
        "rsa-verify",
        {
            "scheme": "rsa-pss-sha256",
            "modulus": (
                "a2b451a07d0aa5f96e455671513550514a8a5b462ebef717094fa1fee82224e637f9746d3f7cafd31878d80325b6ef5a1700f659"
                "03b469429e89d6eac8845097b5ab393189db92512ed8a7711a1253facd20f79c15e8247f3d3e42e46e48c98e254a2fe9765313a0"
                "3eff8f17e1a029397a1fa26a8dce26f490ed81299615d9814c22da610428e09c7d9658594266f5c021d0fceca08d945a12be82de"
                "4d1ece6b4c03145b5d3495d4ed5411eb878daf05fd7afc3e09ada0f1126422f590975a1969816f48698bcbba1b4d9cae79d460d8"
                "f9f85e7975005d9bc22c4e5ac0f7c1a45d12569a62807d3b9a02e5a530e773066f453d1f5b4c2e9cf7820283f742b9d5"
            ),
            "exponent": "010001",
            "data": "4d657373616765",
            "answer": (
                "599724adc1bae31e84eb6e1399cd90cd67f48b432c63719b600402384aaea9b21ee864cdcf259029180877c847a223912b0647f0"
                "66a59a65df6c2d3a6675b1450f0b05185cee486bfac56cfded182babcefe60568a6954f026cb2f59002a2f755e9bce49793f280d"
                "89822c9bd3a06a7ad2209c3d6cab7c1f74c8bbf4bf374e7ae8a539fccb83a78cff96a4f538adeba0869659d0e9647d98f96cb55d"
                "9cb7e58440c4c9d85b8e9dc602e909e29e45f2b82ded44f40e9ceb1292da20063967e3a116f4aeb202863cea523f215b8ec7fc4f"
                "6a22cd8652ed661e33803f3fa1be966fa8754cc7b0fa894cee0f045efba14c4f4a1d7cb837cea69e30522526b8a5878f"
            ),
        },
    ),
)
