package lab

import (
	"context"
	"fmt"
	"time"

	"neutrino/address"
	"neutrino/lab/client"
)

// BootRequest is an instance to be booted on a cloud's port.
type BootRequest struct {
	Name, Host string
	Port       string // id of a port that exists; or else
	Network    string // id of a network on which to make one
	Cloud      string // the entry of clouds.yaml as which to make it; "demo" if empty

	Compute *client.Client // who binds the port, an administrator; nil logs in as neutrino-admin
}

// Boot makes an instance as a compute service does: the port is told its host by a privileged user,
// and then the NIC appears there. It does not wait for the address.
func (l *Lab) Boot(ctx context.Context, r BootRequest) (Instance, error) {
	if _, err := l.checkHost(r.Host); err != nil {
		return Instance{}, err
	}
	if (r.Port == "") == (r.Network == "") {
		return Instance{}, fmt.Errorf("give a port or a network, and not both")
	}
	compute := r.Compute
	if compute == nil {
		var err error
		if compute, err = client.Login(ctx, l.CloudsFile(), "neutrino-admin"); err != nil {
			return Instance{}, err
		}
	}
	if r.Port == "" {
		if r.Cloud == "" {
			r.Cloud = "demo"
		}
		tenant, err := client.Login(ctx, l.CloudsFile(), r.Cloud)
		if err != nil {
			return Instance{}, err
		}
		port, err := tenant.Create(ctx, "ports", "port", client.Object{"network_id": r.Network, "name": r.Name})
		if err != nil {
			return Instance{}, err
		}
		r.Port, _ = port["id"].(string)
	}
	port, err := compute.Update(ctx, "ports", "port", r.Port, client.Object{
		"binding:host_id": r.Host, "device_id": "lab-" + r.Name, "device_owner": "compute:nova"})
	if err != nil {
		return Instance{}, err
	}
	if vif, _ := port["binding:vif_type"].(string); vif == "binding_failed" || vif == "unbound" {
		return Instance{}, fmt.Errorf("port %s could not be bound to %s: its vif_type is %s", r.Port, r.Host, vif)
	}
	text, _ := port["mac_address"].(string)
	mac, err := address.ParseMAC(text)
	if err != nil {
		return Instance{}, fmt.Errorf("port %s: %w", r.Port, err)
	}
	i := Instance{Name: r.Name, Host: r.Host, Port: r.Port, MAC: mac}
	if details, ok := port["binding:vif_details"].(client.Object); ok {
		i.Hybrid, _ = details["ovs_hybrid_plug"].(bool)
	}
	return i, l.Plug(i)
}

// WaitActive waits until the API says that a port is ACTIVE.
func WaitActive(ctx context.Context, c *client.Client, port string) error {
	for {
		p, err := c.Show(ctx, "ports", "port", port)
		if err != nil {
			return err
		}
		if p["status"] == "ACTIVE" {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("port %s stays %v", port, p["status"])
		case <-time.After(20 * time.Millisecond):
		}
	}
}
