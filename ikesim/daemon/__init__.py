"""The asyncio shell around the core: UDP sockets, timers, HTTP fetching and the control API."""
