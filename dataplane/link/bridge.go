package link

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"neutrino/dataplane/netns"
)

// calls are the attributes of a bridge (linux/if_link.h) that give its packets to the tables of IPv4 and of IPv6.
var calls = []int{nl.IFLA_BR_NF_CALL_IPTABLES, nl.IFLA_BR_NF_CALL_IP6TABLES}

// FilterBridge has the packets of a bridge, and of no other, go through the tables of IPv4 and IPv6, and so through the
// connection tracker. A bridge that is not there is an error; ErrNoBridgeFilter says what the kernel lacks.
func (s *Space) FilterBridge(name string) error {
	l, err := s.h.LinkByName(name)
	if err != nil {
		return fmt.Errorf("bridge %s: %w", name, err)
	}
	if l.Type() != "bridge" {
		return fmt.Errorf("%s is no bridge but of type %s", name, l.Type())
	}
	return netns.Do(s.name, func() error { // requests of their own
		if _, err := BridgeSettings(); err != nil {
			return err
		}
		index := l.Attrs().Index
		done, err := bridgeCalls(index)
		if err != nil {
			return fmt.Errorf("read the settings of bridge %s: %w", name, err)
		}
		if done {
			return nil
		}
		request := nl.NewNetlinkRequest(unix.RTM_NEWLINK, unix.NLM_F_ACK)
		request.AddData(linkMessage(index))
		info := nl.NewRtAttr(unix.IFLA_LINKINFO, nil)
		info.AddRtAttr(nl.IFLA_INFO_KIND, nl.NonZeroTerminated("bridge"))
		data := info.AddRtAttr(nl.IFLA_INFO_DATA, nil)
		for _, call := range calls {
			data.AddRtAttr(call, []byte{1})
		}
		request.AddData(info)
		_, err = request.Execute(unix.NETLINK_ROUTE, 0)
		return s.write(err, "give the packets of bridge %s to the tables of IP", name)
	})
}

// BridgeFiltered says whether the packets of a bridge do so by its own settings; there says whether there is a device of
// that name.
func (s *Space) BridgeFiltered(name string) (filtered, there bool, err error) {
	d, there, err := s.Find(name)
	if err != nil || !there {
		return false, false, err
	}
	err = netns.Do(s.name, func() error {
		filtered, err = bridgeCalls(d.Index)
		return err
	})
	if err != nil {
		err = fmt.Errorf("read the settings of bridge %s: %w", name, err)
	}
	return filtered, true, err
}

func linkMessage(index int) *nl.IfInfomsg {
	m := nl.NewIfInfomsg(unix.AF_UNSPEC)
	m.Index = int32(index)
	return m
}

// bridgeCalls says whether a bridge has both settings.
func bridgeCalls(index int) (bool, error) {
	request := nl.NewNetlinkRequest(unix.RTM_GETLINK, unix.NLM_F_ACK)
	request.AddData(linkMessage(index))
	answers, err := request.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWLINK)
	if err != nil {
		return false, err
	}
	if len(answers) == 0 {
		return false, errors.New("the kernel gave no answer")
	}
	return callsOf(answers[0])
}

// callsOf reads them from the kernel's message about a link.
func callsOf(message []byte) (bool, error) {
	if len(message) < unix.SizeofIfInfomsg {
		return false, errors.New("a message about a link is too short")
	}
	list, err := attributes(message[unix.SizeofIfInfomsg:])
	for _, wanted := range []uint16{unix.IFLA_LINKINFO, nl.IFLA_INFO_DATA} {
		if err != nil {
			return false, err
		}
		var inner []byte
		for _, a := range list {
			if a.kind == wanted {
				inner = a.value
			}
		}
		list, err = attributes(inner)
	}
	if err != nil {
		return false, err
	}
	found := map[uint16]bool{}
	for _, a := range list {
		found[a.kind] = len(a.value) > 0 && a.value[0] != 0
	}
	for _, call := range calls {
		if !found[uint16(call)] {
			return false, nil
		}
	}
	return true, nil
}

// attribute is a piece of a netlink message.
type attribute struct {
	kind  uint16
	value []byte
}

// attributes takes a netlink message's body, or an attribute that has others in it, apart (RFC 3549, 2.2). The netlink
// library panics on one that ends in the middle of its padding.
func attributes(b []byte) (list []attribute, err error) {
	for len(b) >= unix.SizeofNlAttr {
		size := int(binary.NativeEndian.Uint16(b))
		if size < unix.SizeofNlAttr || size > len(b) {
			return nil, fmt.Errorf("a netlink attribute of %d bytes, of which there are %d", size, len(b))
		}
		list = append(list, attribute{binary.NativeEndian.Uint16(b[2:]) &^ unix.NLA_F_NESTED, b[unix.SizeofNlAttr:size]})
		b = b[min(len(b), (size+unix.NLA_ALIGNTO-1)&^(unix.NLA_ALIGNTO-1)):]
	}
	return list, nil
}
