"""Small bugs that somebody could make, and the tests that must notice each of them."""

from tests.sabotage.restores import RESTORES
from tests.sabotage.sabotage import Sabotage

CRASHES = "tests/faults/test_crash_sweep.py"
RECOVERY = "tests/faults/test_crash_recovery.py::test_after_some_crashes"
SLEEPING = "tests/faults/test_sleeping_restores.py"
SERVICE = "tests/integration/test_service_"
VERIFY = f"{SERVICE}verify_"
NEWER_VERIFY = "tests/integration/test_newer_verify_restored.py"


SABOTAGES = (
    *RESTORES,
    Sabotage(
        "no end_ts",
        "service/restore_import.py",
        "            moment=moment, l0=unit.l0",
        "            moment=None, l0=unit.l0",
        (f"{SERVICE}create_races.py::test_rows_and_deletes_behind_the_moment_are_not_restored",),
    ),
    Sabotage(
        "the moment is not rounded down",
        "domain/milvus.py",
        "    if hybrid_end:\n",
        "    if True:\n",
        ("tests/unit/test_moment.py",),
    ),
    Sabotage(
        "full_meta first",
        "service/metadata_writer.py",
        "        name, digest = await self._write_head(head, collections_file, hashes)\n",
        "        name, digest = await self._write_head(head, collections_file, hashes)\n"
        "        await self._write(FULL_META, _linked(full, full_meta_suffix(name, digest)))\n",
        (f"{CRASHES}::test_no_crash_of_a_backup_leaves_one_that_is_listed_and_not_whole",),
    ),
    Sabotage(
        "the file by which the Go tool lists comes before the others",
        "service/metadata_writer.py",
        "        for file in LEVEL_FILES:\n",
        "        for file in sorted(LEVEL_FILES):\n",
        (f"{CRASHES}::test_no_crash_of_a_backup_leaves_one_that_is_listed_and_not_whole",),
    ),
    Sabotage(
        "the data goes before what makes it complete",
        "service/removal.py",
        "        count = await self._remove_one(layout.meta(FULL_META))\n",
        '        count = await self._remove_prefix(layout.data_directory, "")\n'
        "        count += await self._remove_one(layout.meta(FULL_META))\n",
        (f"{CRASHES}::test_no_crash_of_a_delete_leaves_a_backup_that_is_listed_and_not_whole",),
    ),
    Sabotage(
        "no fencing",
        "service/claim.py",
        "    if await read_claim(store, layout) != ours:\n",
        "    if ours == b'':\n",
        (f"{SERVICE}fencing.py",),
    ),
    Sabotage(
        "no fencing of restores",
        "service/fence.py",
        "        await tracker.require_owner()\n",
        "        pass\n",
        (SLEEPING,),
    ),
    Sabotage(
        "what is replaced is dropped by its name, whatever has it by then",
        "service/replacing.py",
        "        if await self._is_there(old):\n",
        "        if await self._id_of(old) is not None:\n",
        (SLEEPING,),
    ),
    Sabotage(
        "retry of Import",
        "adapters/milvus/import_calls.py",
        'self._connection.call_once("Import", request, collection)',
        'self._connection.call("Import", request, collection)',
        ("tests/integration/test_milvus_connection.py",),
    ),
    Sabotage(
        "a lost import is issued again into the same collection",
        "service/importing.py",
        "        if job.state is ImportState.UNKNOWN:\n",
        "        if False:\n",
        (f"{SERVICE}imports.py",),
    ),
    Sabotage(
        "no size check of what was copied",
        "service/copying.py",
        "    if present.size != wanted.size:\n",
        "    if False:\n",
        ("tests/faults/test_planted_faults.py",),
    ),
    Sabotage(
        "no content check before Milvus reads",
        "service/restore_objects.py",
        "        if md5 != wanted.hash:\n",
        "        if False:\n",
        (f"{SERVICE}restore_objects.py",),
    ),
    Sabotage(
        "a condition that failed is always a conflict",
        "adapters/store_wrappers.py",
        "ours = await self._written(key, data) if tries.failures else None",
        "ours = None",
        ("tests/unit/test_retrying_store.py", "tests/faults/test_store_requests.py"),
    ),
    Sabotage(
        "aiohttp sends writes again by itself",
        "adapters/s3/clients.py",
        "session._retry_connection = False",
        "session._retry_connection = True",
        ("tests/faults/test_store_requests.py",),
    ),
    Sabotage(
        "bytes that arrive damaged are believed",
        "adapters/s3/store.py",
        "        if (data, etag) != await self._read(request, asked):\n",
        "        if False:\n",
        ("tests/faults/test_store_requests.py",),
    ),
    Sabotage(
        "a store that fails is asked once",
        "adapters/store_wrappers.py",
        "        if self.failures >= self._policy.max_attempts:\n",
        "        if True:\n",
        ("tests/unit/test_retrying_store.py",),
    ),
    Sabotage(
        "a broken listing is a short one",
        "service/objects.py",
        "        page = await store.list_page(prefix, token=token, delimiter=delimiter, limit=_PAGE)\n",
        "        try:\n"
        "            page = await store.list_page(prefix, token=token, delimiter=delimiter, limit=_PAGE)\n"
        "        except BackupError:\n"
        "            return\n",
        ("tests/faults/test_planted_faults.py",),
    ),
    Sabotage(
        "collections are built under their final names",
        "service/building.py",
        "            temporary=temporary_name(self._operation, number),\n",
        "            temporary=target.name,\n",
        (
            f"{CRASHES}::test_no_crash_of_a_restore_leaves_a_collection_in_part_under_its_name",
            f"{SERVICE}restore.py",
        ),
    ),
    Sabotage(
        "staged copies stay",
        "service/staging.py",
        "            await delete_prefix(self._store, prefix, delete=self._delete)\n",
        "            pass\n",
        (f"{SERVICE}restore_cancel.py", f"{SERVICE}imports.py"),
    ),
    Sabotage(
        "what an import of an earlier run fills is removed under it",
        "service/building.py",
        "        await self._imports.end_in(temporary)\n        if not await self._removing(",
        "        if not await self._removing(",
        (f"{SERVICE}restore_open_imports.py",),
    ),
    Sabotage(
        "what an import fills is removed under it by who is cancelled while waiting for its end",
        "service/open_imports.py",
        "        target = self._targets.get(place)\n",
        "        target = self._targets.pop(place, None)\n",
        (f"{SERVICE}restore_open_imports.py",),
    ),
    Sabotage(
        "a resume that comes to nothing keeps the operation",
        "service/settling.py",
        "        return record.active and ours and not self._at_work(record.name)\n",
        "        return False\n",
        ("tests/integration/test_durable_take_over.py",),
    ),
    Sabotage(
        "what is launched behind a stop runs on",
        "service/operations.py",
        "        if self._interrupts:",
        "        if False:",
        ("tests/integration/test_durable_stop.py",),
    ),
    Sabotage(
        "what one that was taken for dead notes of imports counts",
        "service/import_notes.py",
        "        self.unwritten = set(self._files)\n",
        "        self.unwritten = set()\n",
        (f"{SERVICE}restore_journal.py",),
    ),
    Sabotage(
        "a store that stays away fails the operation for good",
        "service/backup_run.py",
        "            if isinstance(error, Unavailable):\n",
        "            if False:\n",
        ("tests/faults/test_store_away.py",),
    ),
    Sabotage(
        "an import is written down behind its issue, not before",
        "service/import_steps.py",
        "        await self._journal.note_import(self._target, self._step.entry)\n"
        "        await self._tracker.require_owner()\n",
        "        await self._tracker.require_owner()\n",
        (f"{SERVICE}restore_resume.py", RECOVERY),
    ),
    Sabotage(
        "what a resume finds imported is not counted",
        "service/restore_import.py",
        "        if there != rows:\n",
        "        if False:\n",
        (f"{SERVICE}restore_resume.py", RECOVERY),
    ),
    Sabotage(
        "no signs of life are looked for",
        "service/journal.py",
        "return await self.log.living(limit) | {self.owner.instance}",
        "return frozenset({self.owner.instance})",
        (f"{SERVICE}sweep.py::test_what_another_service_works_on_is_left_alone",),
    ),
    Sabotage(
        "a backup in part is complete unasked",
        "service/backup_run.py",
        "        if self._marks.failed and not self._checked.allow_partial:\n",
        "        if False:\n",
        (f"{SERVICE}create_partial.py",),
    ),
    Sabotage(
        "final names are given whatever the count of rows",
        "service/restore_import.py",
        "    if not rows.fits(imported):\n",
        "    if False:\n",
        (f"{SERVICE}imports.py",),
    ),
    Sabotage(
        "deletes of L0 segments are imported before the rows",
        "service/restore_import.py",
        "            await self._import_all([it for it in left if not it.unit.l0], built, credit)\n"
        "            await self._import_all([it for it in left if it.unit.l0], built, credit)\n",
        "            await self._import_all([it for it in left if it.unit.l0], built, credit)\n"
        "            await self._import_all([it for it in left if not it.unit.l0], built, credit)\n",
        (f"{SERVICE}newer_milvus.py", f"{SERVICE}newer_sources.py"),
    ),
    Sabotage(
        "a sweep removes a backup whose create did not live to say that it is complete",
        "service/interrupted_create.py",
        "        if held and await repository",
        "        if False and await repository",
        (RECOVERY,),
    ),
    Sabotage(
        "a sweep forgets what restores staged",
        "service/cluster_leftovers.py",
        "            await delete_prefix(storage.store, prefix)\n",
        "            pass\n",
        (f"{SERVICE}sweep.py",),
    ),
    Sabotage(
        "a delete notes nothing of what it removes",
        "service/delete_run.py",
        "            await self._records.store.put("
        "self._note_key, canonical_json(encode(_Doomed, doomed)))\n",
        "            pass\n",
        (f"{SERVICE}resume_delete.py",),
    ),
    Sabotage(
        "a resume copies everything again",
        "service/backup_run.py",
        "again=self._resumed or attempt > 0)",
        "again=False)",
        (f"{SERVICE}resume_create.py",),
    ),
    Sabotage(
        "a watch may begin with a state of a moment ago",
        "service/running.py",
        "            if newest or (shared.revision > beyond and not self.ended.is_set()):\n",
        "            if True:\n",
        ("tests/unit/test_operations_watch.py",),
    ),
    Sabotage(
        "a comparison takes deleted rows for rows",
        "service/rows.py",
        "        if written <= last and all(end.get(key, 0) <= written for end in ends)\n",
        "        if written <= last\n",
        (f"{VERIFY}restored.py", NEWER_VERIFY),
    ),
    Sabotage(
        "a comparison leaves out the deletes of L0 segments",
        "service/rows.py",
        "                    deletes=(inside, self._everywhere),\n",
        "                    deletes=(),\n",
        (NEWER_VERIFY,),
    ),
    Sabotage(
        "a comparison does not cut at the moment",
        "service/verify_restored.py",
        "directory=directory, moment=moment\n",
        "directory=directory, moment=None\n",
        (f"{VERIFY}restored.py",),
    ),
    Sabotage(
        "a comparison passes over a partition",
        "service/row_check.py",
        "        for partition in self._record.partition_backups:\n            rows",
        "        for partition in self._record.partition_backups[:1]:\n            rows",
        (f"{VERIFY}restored.py",),
    ),
    Sabotage(
        "a comparison takes a short page for the last one",
        "service/row_check.py",
        "            after = page.keys[-1]\n",
        "            if len(page.keys) < limit:\n                return\n            after = page.keys[-1]\n",
        (f"{VERIFY}restored.py",),
    ),
    Sabotage(
        "a comparison does not count the rows",
        "service/row_check.py",
        "            if counted is not None and counted != self._rows:\n",
        "            if False:\n",
        (f"{VERIFY}restored.py",),
    ),
    Sabotage(
        "the hash of a row is without one of its fields",
        "domain/row_form.py",
        "for field in self._fields]\n        for number",
        "for field in self._fields[:-1]]\n        for number",
        (f"{VERIFY}restored.py", NEWER_VERIFY),
    ),
    Sabotage(
        "rows that are too many are no difference",
        "service/row_differences.py",
        "            extra=self._count(_EXTRA),\n",
        "            extra=0,\n",
        (f"{VERIFY}restored.py",),
    ),
    Sabotage(
        "values that fit no field are passed over",
        "domain/row_form.py",
        "                if unfit is not None:\n",
        "                if False:\n",
        (f"{VERIFY}damaged_rows.py",),
    ),
    Sabotage(
        "what was restored to be compared stays until the end",
        "service/verify_restored.py",
        "        await parts.builder.drop(built.temporary)\n",
        "",
        (f"{VERIFY}damaged_rows.py",),
    ),
    Sabotage(
        "a pause of the garbage collection is recorded at some time",
        "service/gc_pause.py",
        "        await self._tracker.record_now()\n",
        "",
        (f"{SERVICE}gc_pause_crashes.py",),
    ),
)
