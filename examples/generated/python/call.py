"""Uses the client that openapi-python-client makes of the management API's document:
reads who the caller is, and changes a setting."""

import os

from gatehouse_client.api.realms import get_realm, update_realm
from gatehouse_client.api.system import me
from gatehouse_client.client import AuthenticatedClient
from gatehouse_client.models import Me, Problem, Realm, RealmPatch, RealmPatchSettings

client = AuthenticatedClient(base_url=os.environ["GATEHOUSE_URL"], token=os.environ["GATEHOUSE_TOKEN"])
who = me.sync(client=client)
assert isinstance(who, Me), who
patch = RealmPatch(title="by python", settings=RealmPatchSettings(access_token_ttl="5m", audience=None))
realm = update_realm.sync(client=client, realm="main", body=patch)
assert isinstance(realm, Realm), realm
missing = get_realm.sync(client=client, realm="none")
assert isinstance(missing, Problem), missing
print(who.kind, realm.title, missing.code)
