"""Strategies for a small world of names, so that what is drawn meets often."""

from hypothesis import strategies as st

from milvus_backup_server.domain.milvus import CollectionName
from milvus_backup_server.domain.patterns import Pattern

DATABASES = st.sampled_from(["default", "shop", "store"])
COLLECTIONS = st.sampled_from(["a", "b", "c"])
NAMES = st.builds(CollectionName, DATABASES, COLLECTIONS)
EXACT = st.builds(Pattern, DATABASES, COLLECTIONS)
WHOLE = st.builds(Pattern, DATABASES, st.just("*"))
ALONE = st.builds(Pattern, DATABASES, st.just(""))
PATTERNS = EXACT | WHOLE | ALONE
WORLDS = st.lists(NAMES, unique=True, max_size=6)
ITEMS = st.lists(PATTERNS, max_size=4)
RULES = st.lists(
    st.tuples(EXACT, EXACT) | st.tuples(WHOLE, WHOLE) | st.tuples(ALONE, ALONE), max_size=4
)
"""Both sides of one scope."""
