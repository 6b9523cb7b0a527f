"""What a host of the fleet gets, in the order of trust: `pyinfra inventories/SITE/SITE.py deploy.py`.

Each line is one task; `tasks/` has a file for each. Nothing is changed on any host before every host has
passed preflight, which gives what the host is to be.
"""

from tasks.docker import run_docker
from tasks.files import place_files
from tasks.garbage import collect_garbage
from tasks.generation import place_generation
from tasks.host_store import ship_blobs
from tasks.images import load_images
from tasks.models import place_models
from tasks.nvidia import offer_gpu
from tasks.os_packages import install_os_packages
from tasks.preflight import check_fleet
from tasks.services import run_services

wanted = check_fleet()
ship_blobs(wanted=wanted)
install_os_packages(wanted=wanted)
place_files(wanted=wanted)
run_docker(wanted=wanted)
offer_gpu(wanted=wanted)
load_images(wanted=wanted)
place_models(wanted=wanted)
place_generation(wanted=wanted)
run_services(wanted=wanted)
collect_garbage(wanted=wanted)
