"""The two object stores of configuration v1, whose settings mean other things with each provider."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from milvus_backup_server.settings.sources import Given
from milvus_backup_server.settings.translation import Translation, Values, text_of
from milvus_backup_server.settings.v1 import BACKUP_SIDE, MILVUS_SIDE, SIDES, V1Key, V1Side

_PROVIDERS: Final = {
    "ali": "aliyun",
    "alibaba": "aliyun",
    "alicloud": "aliyun",
    "tc": "tencent",
}
_STATIC: Final = "static"
_IAM: Final = "iam"
_DEFAULT: Final = "default"
_SHARED_KEY: Final = "sharedKey"
_SERVICE_ACCOUNT: Final = "serviceAccount"


def translate_stores(values: Values, made: Translation) -> None:
    """Translate the providers and logins of both stores."""
    nothing = _Side("", _STATIC, use_iam=False)
    above = _translate_side(MILVUS_SIDE, values, made, above=nothing, logins=values)
    _translate_side(BACKUP_SIDE, values, made, above=above, logins=_as_backup(values))
    made.useless = _useless_logins(values, made)


@dataclass(frozen=True, slots=True)
class _Side:
    """What one store settled on.

    Attributes:
        provider: Empty where nothing says it.
        login: The type of its login; empty for a directory.
        use_iam: Whether v1 asks the machine.
    """

    provider: str
    login: str
    use_iam: bool


def _translate_side(
    side: V1Side, values: Values, made: Translation, *, above: _Side, logins: Values
) -> _Side:
    """Translate one store; what it does not say is as in the one above.

    Args:
        side: Its settings.
        values: What was given.
        made: Takes the result.
        above: The store whose values it takes over.
        logins: What was given for its login, by itself or for the store above.
    """
    provider_row, iam_row = values.get(side.provider), values.get(side.use_iam)
    provider = _provider(provider_row) if provider_row else above.provider
    use_iam = made.boolean(iam_row) if iam_row else above.use_iam
    login = _login_of(provider, use_iam=use_iam)
    if provider_row:
        made.put(side.provider.target, provider_row, provider)
    of_provider = login in {_SHARED_KEY, _SERVICE_ACCOUNT}
    decider = provider_row or iam_row if of_provider else iam_row or provider_row
    if decider and login and login != (above.login or _STATIC):
        made.put(side.use_iam.target, decider, login)
    # Where both log in alike, v2 takes over what is not given here by itself.
    given = values if login == above.login else logins
    for key, target in _used(side, login).items():
        if key in given:
            made.put(f"{side.target}.{target}", given[key])
    return _Side(provider, login, use_iam)


def _provider(row: Given) -> str:
    name = str(row.value).lower()
    return _PROVIDERS.get(name, name)


def _login_of(provider: str, *, use_iam: bool) -> str:
    if provider == "local":
        return ""
    if provider == "azure":
        return _DEFAULT if use_iam else _SHARED_KEY
    if provider == "gcpnative":
        return _SERVICE_ACCOUNT
    return _IAM if use_iam else _STATIC


def _used(side: V1Side, login: str) -> dict[V1Key, str]:
    """Return where in v2 each setting goes that a type of login needs."""
    return {
        _STATIC: {
            side.access_key: "auth.accessKeyID",
            side.secret_key: "auth.secretAccessKey",
            side.token: "auth.sessionToken",
        },
        # For Azure the access key was the account's name, and the secret its key.
        _SHARED_KEY: {side.access_key: "accountName", side.secret_key: "auth.accountKey"},
        _DEFAULT: {side.access_key: "accountName"},
        _SERVICE_ACCOUNT: {side.gcp_file: "auth.credentialsFile"},
        _IAM: {side.iam_endpoint: "auth.endpoint"},
    }.get(login, {})


def _as_backup(values: Values) -> dict[V1Key, Given]:
    """Return what was given for the login of the backup store, by itself or for Milvus's."""
    pairs = zip(MILVUS_SIDE.logins, BACKUP_SIDE.logins, strict=True)
    taken_over = {
        own: values[key] for key, own in pairs if key in values and key is not MILVUS_SIDE.gcp_file
    }
    return {**taken_over, **values}


def _useless_logins(values: Values, made: Translation) -> list[Given]:
    used = {(row.key, row.origin) for row in made.rows.values()}
    logins = (key for side in SIDES for key in side.logins if text_of(values, key))
    return [values[key] for key in logins if (values[key].key, values[key].origin) not in used]
