"""Settings of the hosts with a GPU in prod. They win over all.py, whole settings at a time."""

# Ollama with its models in the memory of the GPU.
ollama = {
    "num_parallel": 4,
    "context_length": 16384,
    "keep_alive": "24h",
    "flash_attention": True,  # less memory for long contexts; the GPU must support it
    "kv_cache_type": "q8_0",  # halves the memory of the context; needs flash_attention
    "memory_limit_mib": 16384,
}
