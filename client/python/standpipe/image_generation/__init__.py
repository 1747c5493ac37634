"""ImageGenerationService, for both clients: options, requests, results, and every RPC as a value."""
