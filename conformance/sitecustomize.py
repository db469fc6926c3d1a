"""Read by every Python of a run: Tempest 33 sleeps ten seconds after each deletion of a subnet, for
the sake of the original's DHCP agents. Nothing here needs that."""
import types

try:
    from tempest.lib.services.network import subnets_client

    subnets_client.time = types.SimpleNamespace(sleep=lambda seconds: None)
except ImportError:
    pass
