# pandas 3 types a column as one of a dozen things, so every line with a table would need a cast.
# For pyright a table is Any; what is in it is tested instead.
from typing import Any

def __getattr__(name: str) -> Any: ...
