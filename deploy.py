"""What a host of the fleet gets, in the order of trust: `pyinfra inventories/SITE/SITE.py deploy.py`.

Each line is one task; `tasks/` has a file for each. Nothing is changed on any host before every host has
passed preflight.
"""

from pyinfra import host

from tasks.docker import run_docker
from tasks.files import place_files
from tasks.gateway import run_gateway
from tasks.generation import render_generation
from tasks.host_store import ship_blobs
from tasks.images import load_images
from tasks.models import place_models
from tasks.nvidia import offer_gpu
from tasks.ollama import run_ollama
from tasks.os_packages import install_os_packages
from tasks.preflight import check_fleet

check_fleet()
ship_blobs()
install_os_packages()
place_files()
run_docker()
if "gpu" in host.groups:
    offer_gpu()
render_generation()
load_images()
place_models()
run_ollama()
run_gateway()
