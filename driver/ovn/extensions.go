package ovn

// TagExtensions are those by which a network carries its instances' VLAN tags. They are there where all mechanism drivers
// bring them and the operator wants them.
var TagExtensions = []string{"vlan-transparent", "qinq"}

// Extensions are the aliases that this driver brings of those extensions that only some drivers have.
var Extensions = []string{"enable-default-route-bfd", "enable-default-route-ecmp", "external-gateway-multihoming", "l3-agent-scheduler-ha-chassis-priority"}
