"""Bugs in what becomes of a restore that is interrupted or sleeps; see `sabotages`."""

from tests.sabotage.sabotage import Sabotage

OPTIONS = "tests/faults/test_crash_recovery_options.py::test_after_some_crashes"
SLEEPING = "tests/faults/test_sleeping_restores.py"

RESTORES = (
    Sabotage(
        "a check that is off counts as put back before it is",
        "service/restore_run.py",
        "            await self._function_checks.put_back(entry.place, wanted)\n"
        "            await self._journal.note_whole(target.name)\n",
        "            await self._journal.note_whole(target.name)\n"
        "            await self._function_checks.put_back(entry.place, wanted)\n",
        (OPTIONS,),
    ),
    Sabotage(
        "an import into a collection that exists is not waited for",
        "service/restore_undo.py",
        "            await imports.end_unwritten(self._gateway, target, place.prefix)\n",
        "",
        (OPTIONS,),
    ),
    Sabotage(
        "a restore that slept gives names that its successor is about to free",
        "service/replacing.py",
        "        await require_ours(self._tracker)\n        await self._gateway.rename_collection(",
        "        await self._gateway.rename_collection(",
        (f"{SLEEPING}::test_a_restore_that_wakes_up_beside_its_successor_harms_nothing",),
    ),
    Sabotage(
        "the only copy of what was replaced is swept up where there is no journal",
        "service/unwritten.py",
        "        if missing:\n",
        "        if False:\n",
        ("tests/faults/test_crash_without_journal.py::test_after_some_crashes",),
    ),
)
