"""A kernel that talks over IPC sockets in a folder of its own.

Over TCP, several notebooks started at once race for ports and now and then one of them loses
("Kernel died before replying to kernel_info"); sockets in private folders cannot collide.
"""

import shutil
import tempfile
from pathlib import Path

from jupyter_client.manager import AsyncKernelManager


class IPCKernelManager(AsyncKernelManager):
    def __init__(self, **kwargs):
        self._folder = tempfile.mkdtemp(prefix="kernel-")
        super().__init__(**{"transport": "ipc", "ip": str(Path(self._folder, "k"))} | kwargs)

    async def cleanup_resources(self, restart=False):
        await super().cleanup_resources(restart=restart)
        if not restart:
            shutil.rmtree(self._folder, ignore_errors=True)
