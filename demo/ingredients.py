"""Makes what the demo release is made of, out of package registries: `python -m demo.ingredients FOLDER`.

Most sites have images as `docker save` tarballs, models as tarballs of an Ollama store and vendors' packages
in apt repositories, so that is what the demo starts from. All is real and nothing is downloaded twice.
"""

from __future__ import annotations

import argparse
import os
import sys
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from demo import gemma, images, minilm, nvidia, watch_images
from demo.cache import Recipe, Tell, make, place
from demo.go import find_go
from sealift.cache import cache_folder
from sealift.errors import SealiftError


def prepare(sources: Path, cache: Path, tell: Tell) -> None:
    """Fill the sources folder that `releases/demo.yaml` names its archives in.

    + sources: made where it is missing
    + cache: folder where they are kept
    + tell: takes a line per ingredient

    Raises SealiftError where one cannot be made; none is left out.
    """

    def made(recipe: Recipe) -> Path:
        return make(recipe, cache, tell)

    def compiled() -> tuple[Path, Path]:
        go = find_go(cache, tell)
        return made(images.ollama_binary(go)), made(nvidia.repository(made(nvidia.programs(go))))

    def assembled() -> tuple[Path, tuple[Path, ...]]:
        base = made(images.base())
        watching = (made(watch_images.watch_image(each, base)) for each in watch_images.PROGRAMS)
        return base, (made(images.envoy_image(base)), *watching)

    pool = ThreadPoolExecutor(2)  # one waits for compilers, the other mostly for the network
    compiling, assembling = pool.submit(compiled), pool.submit(assembled)
    for ready in as_completed((compiling, assembling)):
        ready.result()  # raises at once what went wrong in one of them
    ollama, nvidia_apt = compiling.result()
    base, others = assembling.result()
    models = (made(gemma.store(ollama)), made(minilm.store(ollama)))
    for entry in (made(images.ollama_image(base, ollama)), *others, *models):
        place(entry, sources)
    place(nvidia_apt, sources / "nvidia-apt")
    place(ollama / "LICENSE", sources / "ollama" / "LICENSE")


def main(arguments: list[str]) -> int:
    """Run as a command; returns the exit status."""
    parser = argparse.ArgumentParser(
        "python -m demo.ingredients", description="Make what the demo release is made of. Again: what lacks."
    )
    parser.add_argument("folder", type=Path, help="filled with what releases/demo.yaml names")
    folder = parser.parse_args(arguments).folder
    try:
        prepare(folder, cache_folder(os.environ) / "ingredients", lambda line: print(line, flush=True))
    except SealiftError as error:
        print(error, file=sys.stderr, flush=True)
        return 1
    except KeyboardInterrupt:
        print("interrupted. Run it again: what is complete is kept.", file=sys.stderr, flush=True)
        return 130
    return 0


if __name__ == "__main__":
    # sys.exit would wait until the other thread's compiler is done; like this it ends with us.
    os._exit(main(sys.argv[1:]))
