"""Restores into Milvus 2.4 to 2.6, simulated: every row by its key, over the real gateway."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from milvus_backup_server.adapters.memory_store import MemoryServer
from milvus_backup_server.domain.errors import BackupNotRestorable, MilvusRefused, MilvusUnavailable
from milvus_backup_server.domain.import_units import ImportApi
from milvus_backup_server.domain.operations import OperationState, RestoreResult
from milvus_backup_server.domain.records import CollectionBackupInfo
from milvus_backup_server.ports.milvus import MilvusGateway
from tests.support.decoded_rows import expected_rows, with_hex
from tests.support.fixtures import GROUPS, OF_NEWER_MILVUS, metadata, put_backup
from tests.support.gateways import FailingGateway
from tests.support.newer import newer
from tests.support.resumed_restores import interrupted, resume
from tests.support.rows import Rows, assert_same_rows
from tests.support.service import LIMITS
from tests.support.simulator.imports import Job


def records(archive: str) -> list[CollectionBackupInfo]:
    found = metadata(archive)["collection_backups"]
    return [CollectionBackupInfo.from_json(item) for item in found]


def comparable(archive: str, rows: Rows) -> Mapping[int | str, dict[str, object]]:
    return rows if archive in OF_NEWER_MILVUS else {key: with_hex(it) for key, it in rows.items()}


@pytest.mark.parametrize(
    ("version", "archive"),
    [
        ("2.4.23", "fx_go_0_5_16"),
        ("2.4.13", "fx_go_0_4_3"),  # with the old name of the call that tells of a job
        ("2.5.27", "fx_go_0_4_3_groups"),
        ("2.5.27", "fx_mv_2_5_27"),
        ("2.6.18", "fx_go_0_5_16_groups"),
        ("2.6.18", "fx_mv_2_5_27"),
        ("2.6.18", "fx_mv_2_6_18"),
        ("2.6.18", "fx_mv_2_6_18_types"),
    ],
)
async def test_a_backup_gives_its_rows(version: str, archive: str) -> None:
    async with newer(version) as it:
        await put_backup(it.service.world.backup_store, "backup", archive, name="b")
        operation = await it.service.restore()
        assert operation.warnings == ()
        for record in records(archive):
            found = it.rows(record.collection_name, record.db_name or "default")
            assert_same_rows(expected_rows(archive, record), comparable(archive, found))
        assert "CreateCollection" in it.simulator.grpc.calls
        assert "Import" not in it.simulator.grpc.calls


async def test_segments_of_a_partition_share_jobs_and_deletes_come_last() -> None:
    async with newer("2.6.18") as it:
        await put_backup(it.service.world.backup_store, "backup", "fx_mv_2_6_18", name="b")
        operation = await it.service.restore(collections=("deletes",))
        jobs = list(it.simulator.jobs.jobs.values())
        assert isinstance(operation.result, RestoreResult)
        assert operation.result.import_job_count == len(jobs)
        data, l0 = [it for it in jobs if not it.l0], [it for it in jobs if it.l0]
        assert jobs == [*data, *l0]
        assert it.simulator.jobs.most_running > 1
        # Two segments in each of the four partitions, two L0 segments for all of them.
        assert [len(job.files) for job in data] == [2, 2, 2, 2]
        assert [(len(job.files), job.partition_id) for job in l0] == [(2, -1)]
        options = {"skip_disk_quota_check": "true"}
        assert {tuple(job.options.items()) for job in data} == {
            (("backup", "true"), *options.items(), ("storage_version", "2"))
        }
        assert {tuple(job.options.items()) for job in l0} == {
            (("l0_import", "true"), *options.items())
        }


async def test_a_job_has_as_many_segments_as_the_setting_says() -> None:
    async with newer("2.5.27", limits=replace(LIMITS, import_job_segments=1)) as it:
        await put_backup(it.service.world.backup_store, "backup", "fx_mv_2_5_27", name="b")
        await it.service.restore(collections=("deletes",))
        found = [len(job.files) for job in it.simulator.jobs.jobs.values()]
        assert found == [1] * 10  # eight segments of rows, two of deletes


async def test_one_job_at_a_time_where_the_setting_says_so() -> None:
    async with newer("2.5.27", limits=replace(LIMITS, import_jobs=1)) as it:
        await put_backup(it.service.world.backup_store, "backup", "fx_mv_2_5_27", name="b")
        await it.service.restore(collections=("deletes",))
        assert it.simulator.jobs.most_running == 1


async def test_milvus_that_uses_another_bucket_is_told_from_an_empty_backup() -> None:
    async with newer("2.6.18") as it:
        await put_backup(it.service.world.backup_store, "backup", "fx_mv_2_6_18", name="b")
        it.milvus.store = MemoryServer().store("another")
        error = await it.service.error(await it.service.start_restore(collections=("deletes",)))
        assert "no binlog to import" in error.message
        assert error.message.endswith(
            "; the objects are in a-bucket/backup/b/, so milvus.storage is not the bucket and root that "
            "Milvus uses"
        )
        assert it.milvus.databases["default"] == {}


@pytest.mark.parametrize("api", [ImportApi.REST, ImportApi.GRPC])
async def test_milvus_may_have_no_room_for_jobs_for_a_while(api: ImportApi) -> None:
    async with newer("2.6.18", limits=replace(LIMITS, import_api=api)) as it:
        await put_backup(it.service.world.backup_store, "backup", "fx_mv_2_6_18", name="b")
        it.simulator.jobs.room = 2
        operation = await it.service.restore(collections=("deletes",))
        assert operation.warnings == ()
        assert it.simulator.jobs.turned_away > 0
        assert it.simulator.jobs.most_running == 2
        record = next(it for it in records("fx_mv_2_6_18") if it.collection_name == "deletes")
        assert_same_rows(expected_rows("fx_mv_2_6_18", record), it.rows("deletes"))


async def test_no_room_for_jobs_at_all_interrupts_the_restore() -> None:
    limits = replace(LIMITS, import_stall_seconds=0.1)
    async with newer("2.6.18", limits=limits) as it:
        await put_backup(it.service.world.backup_store, "backup", "fx_mv_2_6_18", name="b")
        it.simulator.jobs.room = 0
        last = await it.service.end(await it.service.start_restore(collections=("deletes",)))
        assert last.state is OperationState.INTERRUPTED
        assert last.error is not None
        assert "number of jobs has reached the limit" in last.error.message
        it.simulator.jobs.room = 8
        again = await resume(it.service, interrupted(last.name, collections=("deletes",)))
        assert again.state is OperationState.SUCCEEDED, again.error


async def test_a_job_whose_answer_was_lost_is_found_in_the_list() -> None:
    async with newer("2.5.27") as it:
        await put_backup(it.service.world.backup_store, "backup", "fx_mv_2_5_27", name="b")
        it.simulator.rest.lost = 2
        await it.service.restore(collections=("deletes", "nullable"))
        assert it.simulator.rest.lost == 0
        for record in records("fx_mv_2_5_27"):
            if record.collection_name in ("deletes", "nullable"):
                found = it.rows(record.collection_name)
                assert_same_rows(expected_rows("fx_mv_2_5_27", record), found)


async def test_without_rest_each_segment_goes_through_grpc_with_a_warning() -> None:
    async with newer("2.5.27") as it:
        await put_backup(it.service.world.backup_store, "backup", "fx_mv_2_5_27", name="b")
        it.simulator.rest.down = True
        operation = await it.service.restore(collections=("deletes",))
        (warning,) = operation.warnings
        assert "HTTP status 404" in warning.message
        assert "through gRPC" in warning.message
        assert it.simulator.grpc.calls.count("Import") == 10
        record = next(it for it in records("fx_mv_2_5_27") if it.collection_name == "deletes")
        assert_same_rows(expected_rows("fx_mv_2_5_27", record), it.rows("deletes"))


async def test_a_collection_is_built_anew_when_its_jobs_are_forgotten() -> None:
    async with newer("2.6.18") as it:
        await put_backup(it.service.world.backup_store, "backup", "fx_mv_2_6_18", name="b")
        it.simulator.jobs.forget_after = 3
        operation = await it.service.restore(collections=("deletes",))
        assert it.simulator.jobs.forget_after == 0
        assert "does not know its import job" in operation.warnings[0].message
        record = next(it for it in records("fx_mv_2_6_18") if it.collection_name == "deletes")
        assert_same_rows(expected_rows("fx_mv_2_6_18", record), it.rows("deletes"))


async def test_forgotten_jobs_whose_rows_are_all_there_are_done() -> None:
    async with newer("2.6.18") as it:
        await put_backup(it.service.world.backup_store, "backup", "fx_mv_2_6_18", name="b")
        it.simulator.jobs.forget_ended = 2  # of its four; the fifth, with the deletes, comes later
        operation = await it.service.restore(collections=("deletes",))
        assert it.simulator.jobs.forget_ended == 0
        assert operation.warnings == ()
        assert it.simulator.grpc.calls.count("CreateCollection") == 1
        record = next(it for it in records("fx_mv_2_6_18") if it.collection_name == "deletes")
        assert_same_rows(expected_rows("fx_mv_2_6_18", record), it.rows("deletes"))


@pytest.mark.parametrize("parallel", [1, 8])
async def test_an_interrupted_restore_goes_on_with_what_is_left(parallel: int) -> None:
    faults: list[FailingGateway] = []

    def around(inner: MilvusGateway) -> MilvusGateway:
        fault = FailingGateway(inner, "submit_import", MilvusUnavailable("down"), first=3)
        faults.append(fault)
        return fault

    limits = replace(LIMITS, import_jobs=parallel)
    async with newer("2.6.18", limits=limits, around=around) as it:
        await put_backup(it.service.world.backup_store, "backup", "fx_mv_2_6_18", name="b")
        last = await it.service.end(await it.service.start_restore(collections=("deletes",)))
        assert last.state is OperationState.INTERRUPTED
        assert (faults[0].injected, len(it.simulator.jobs.jobs)) == (1, 2)
        again = await resume(it.service, interrupted(last.name, collections=("deletes",)))
        assert again.state is OperationState.SUCCEEDED, again.error
        assert again.warnings == ()
        assert len(it.simulator.jobs.jobs) == 5
        record = next(it for it in records("fx_mv_2_6_18") if it.collection_name == "deletes")
        assert_same_rows(expected_rows("fx_mv_2_6_18", record), it.rows("deletes"))


async def test_deletes_that_were_imported_are_no_rows_when_a_restore_goes_on() -> None:
    def fail_at_the_last(inner: MilvusGateway) -> MilvusGateway:
        return FailingGateway(inner, "submit_import", MilvusUnavailable("down"), first=10)

    limits = replace(LIMITS, import_api=ImportApi.GRPC, import_jobs=1)
    async with newer("2.6.18", limits=limits, around=fail_at_the_last) as it:
        await put_backup(it.service.world.backup_store, "backup", "fx_mv_2_6_18", name="b")
        last = await it.service.end(await it.service.start_restore(collections=("deletes",)))
        assert last.state is OperationState.INTERRUPTED
        assert [job.l0 for job in it.simulator.jobs.jobs.values()] == [False] * 8 + [True]
        (built,) = it.milvus.databases["default"].values()
        assert [segment.num_rows > 0 for segment in built.segments if segment.l0] == [True]
        again = await resume(it.service, interrupted(last.name, collections=("deletes",)))
        assert (again.state, again.warnings) == (OperationState.SUCCEEDED, ())
        assert it.simulator.grpc.calls.count("CreateCollection") == 1
        record = next(it for it in records("fx_mv_2_6_18") if it.collection_name == "deletes")
        assert_same_rows(expected_rows("fx_mv_2_6_18", record), it.rows("deletes"))


async def test_a_cancel_waits_for_all_jobs_that_were_issued_and_leaves_nothing() -> None:
    async with newer("2.6.18") as it:
        await put_backup(it.service.world.backup_store, "backup", "fx_mv_2_6_18", name="b")
        jobs = it.simulator.jobs

        def cancel(_: Job) -> None:
            if len(jobs.jobs) == 2:
                it.service.operations.cancel(it.service.operations.list("", 1).items[0].name)

        jobs.created = cancel
        last = await it.service.end(await it.service.start_restore(collections=("deletes",)))
        assert last.state is OperationState.CANCELLED
        assert len(jobs.jobs) == 2
        assert all(job.ended for job in jobs.jobs.values())
        assert it.milvus.databases["default"] == {}


async def test_no_number_of_rows_tells_of_forgotten_deletes() -> None:
    async with newer("2.6.18", limits=replace(LIMITS, import_api=ImportApi.GRPC)) as it:
        await put_backup(it.service.world.backup_store, "backup", "fx_mv_2_6_18", name="b")
        seen: list[str] = []

        def forget(job: Job) -> None:
            seen.append("l0" if job.l0 else "data")
            if job.l0 and seen.count("l0") == 1:
                it.simulator.jobs.forget_ended = 1

        it.simulator.jobs.created = forget
        operation = await it.service.restore(collections=("deletes",))
        assert "does not know its import job" in operation.warnings[0].message
        assert it.simulator.grpc.calls.count("CreateCollection") == 2
        record = next(it for it in records("fx_mv_2_6_18") if it.collection_name == "deletes")
        assert_same_rows(expected_rows("fx_mv_2_6_18", record), it.rows("deletes"))


async def test_jobs_that_are_always_forgotten_end_the_restore_with_the_reason() -> None:
    async with newer("2.6.18") as it:
        await put_backup(it.service.world.backup_store, "backup", "fx_mv_2_6_18", name="b")
        it.simulator.jobs.created = lambda _: setattr(it.simulator.jobs, "forget_after", 1)
        error = await it.service.error(await it.service.start_restore(collections=("deletes",)))
        assert "does not know its import job" in error.message
        assert it.milvus.databases["default"] == {}
        assert it.simulator.grpc.calls.count("CreateCollection") == 3


async def test_imports_through_grpc_on_request_are_no_reason_to_warn() -> None:
    async with newer("2.6.18", limits=replace(LIMITS, import_api=ImportApi.GRPC)) as it:
        await put_backup(it.service.world.backup_store, "backup", "fx_mv_2_6_18", name="b")
        operation = await it.service.restore(collections=("deletes",))
        assert operation.warnings == ()
        assert it.simulator.rest.calls == []
        assert isinstance(operation.result, RestoreResult)
        # As many as without REST of 2.5.27: one segment a job.
        assert it.simulator.grpc.calls.count("Import") == operation.result.import_job_count == 10
        record = next(it for it in records("fx_mv_2_6_18") if it.collection_name == "deletes")
        assert_same_rows(expected_rows("fx_mv_2_6_18", record), it.rows("deletes"))


async def test_rest_that_must_be_used_is_asked_for_before_anything_is_touched() -> None:
    async with newer("2.6.18", limits=replace(LIMITS, import_api=ImportApi.REST)) as it:
        await put_backup(it.service.world.backup_store, "backup", "fx_mv_2_6_18", name="b")
        it.simulator.rest.down = True
        with pytest.raises(MilvusRefused, match="HTTP status 404"):
            await it.service.start_restore(collections=("deletes",))
        assert "CreateCollection" not in it.simulator.grpc.calls
        it.simulator.rest.down = False
        await it.service.restore(collections=("deletes",))


async def test_the_reason_of_a_failed_job_is_told_and_nothing_is_left() -> None:
    async with newer("2.6.18") as it:
        await put_backup(it.service.world.backup_store, "backup", "fx_mv_2_6_18", name="b")
        it.simulator.jobs.fail = ["out of luck"]
        error = await it.service.error(await it.service.start_restore(collections=("deletes",)))
        assert "out of luck" in error.message
        assert it.simulator.jobs.fail == []
        assert it.milvus.databases["default"] == {}


async def test_a_newer_backup_is_refused_before_anything_is_touched() -> None:
    async with newer("2.5.27") as it:
        await put_backup(it.service.world.backup_store, "backup", "fx_mv_2_6_18", name="b")
        with pytest.raises(BackupNotRestorable) as caught:
            await it.service.start_restore()
        assert caught.value.metadata["needed"] == "2.6"
        assert it.milvus.databases["default"] == {}


@pytest.mark.parametrize(("archive", "segments"), [(GROUPS[0], 5), (GROUPS[1], 3)])
async def test_shared_groups_are_imported_once(archive: str, segments: int) -> None:
    async with newer("2.6.18") as it:
        await put_backup(it.service.world.backup_store, "backup", archive, name="b")
        await it.service.restore()
        files = [str(file) for job in it.simulator.jobs.jobs.values() for file in job.files]
        assert len(files) == len(set(files)) == segments
