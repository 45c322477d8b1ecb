"""A color as an asyncio event loop; coroutines that interleave or hold; awaitable futures."""
