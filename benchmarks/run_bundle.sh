#!/usr/bin/env bash
# Runs the comparison on a machine that can fetch nothing: all it needs lies beside this file, but for Python itself
# and, for GPUs, the driver. What is measured comes into results/.
#
#     ./run.sh [OPTIONS of benchmarks.comparison]      such as --device cpu --rounds 1 --seconds 3
#     PYTHON=/usr/bin/python3.12 ./run.sh              with another interpreter than the python3 on the PATH
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
python=${PYTHON:-python3}

read -r wanted device packages < <("$python" -c 'import json
told = json.load(open("bundle.json"))
print(told["python"], told["device"], "wheels" if told["wheels"] else "none")')
found=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
if [ "$found" != "$wanted" ]; then
  echo "This bundle is for Python $wanted, and $python is $found: name another one with PYTHON=…, or pack the bundle" \
    "with --python $found." >&2
  exit 1
fi

if [ "$packages" = wheels ]; then
  if [ ! -e environment/complete ]; then
    rm -rf environment
    # pip comes from its wheel: some systems have a Python without it.
    "$python" -m venv --without-pip environment
    pip=(wheels/pip-*.whl)
    environment/bin/python "${pip[0]}/pip" install --quiet --no-index --no-cache-dir --no-deps \
      --disable-pip-version-check --find-links wheels --requirement requirements.txt
    touch environment/complete
  fi
  python=$PWD/environment/bin/python
fi
"$python" source/benchmarks/bundle_check.py requirements.txt "$device"

# Where the packages of the CUDA libraries put them.
libraries=$("$python" -c 'import pathlib, sysconfig
print(":".join(map(str, sorted(pathlib.Path(sysconfig.get_path("purelib")).glob("nvidia/*/lib")))))')
export LD_LIBRARY_PATH=$libraries${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
export MODEL_CACHE_DIR=$PWD/networks
export PYTHONPATH=$PWD/source
arguments=(--photos "$PWD/photos" --device "$device" --out "$PWD/results")
if [ -d stand-ins ]; then
  arguments+=(--stand-ins "$PWD/stand-ins")
fi
cd source
exec "$python" -m benchmarks.comparison "${arguments[@]}" "$@"
