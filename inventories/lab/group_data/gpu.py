"""Settings of the lab host that stands for those with a GPU."""

# Not a GPU: a device of Linux's own under the name that NVIDIA's would have, to exercise all around it.
gpu = {"stand_in": True}
