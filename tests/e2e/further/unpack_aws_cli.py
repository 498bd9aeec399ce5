"""Unpacks aws-cli 2 out of the package that carries it, and leaves bin/aws.

Argument: the environment that it was installed into.
"""

import io
import pathlib
import sys
import tarfile
import zipfile

home = pathlib.Path(sys.argv[1])
(carrier,) = home.glob("lib/python3*/site-packages/aws_cdk/asset_awscli_v2/_jsii/*.jsii.tgz")
with tarfile.open(carrier) as outer:
    layer = io.BytesIO(outer.extractfile("package/lib/layer.zip").read())
with zipfile.ZipFile(layer) as inner:
    inner.extractall(home, [name for name in inner.namelist() if "/dist/" in name])
(program,) = home.glob("awscli/v2/*/dist/aws")
program.chmod(0o755)
(home / "bin" / "aws").symlink_to(program)
# 70 MB that nobody reads again.
carrier.unlink()
