package faultlab

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"syscall"
)

// network is a network of its own: an address leads to a listener in this process, and a connection is a pipe. Nothing in
// it waits for the kernel, so it lives in a bubble of virtual time.
type network struct {
	mu    sync.Mutex
	hosts map[string]*host
	links []link
	dead  map[string]bool // machines whose power was cut
}

type link struct {
	from, to       string
	client, server net.Conn
}

func newNetwork() *network {
	return &network{hosts: map[string]*host{}, dead: map[string]bool{}}
}

// host is a listener at an address, as a machine of that name.
type host struct {
	name   string
	addr   netip.AddrPort
	calls  chan net.Conn
	closed chan struct{}
	once   sync.Once
	refuse func() bool                   // nil: never
	worsen func(net.Conn) net.Conn       // what becomes of a connection on its way in; nil: nothing
	accept func(conn net.Conn) (ok bool) // false drops it before anything is read; nil: never
}

func (n *network) listen(name, addr string) *host {
	h := &host{name: name, addr: netip.MustParseAddrPort(addr), calls: make(chan net.Conn), closed: make(chan struct{})}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.hosts[addr] = h
	delete(n.dead, name)
	return h
}

func (h *host) Accept() (net.Conn, error) {
	select {
	case c := <-h.calls:
		return c, nil
	case <-h.closed:
		return nil, net.ErrClosed
	}
}

func (h *host) Close() error {
	h.once.Do(func() { close(h.closed) })
	return nil
}

func (h *host) Addr() net.Addr { return net.TCPAddrFromAddrPort(h.addr) }

// named is a pipe whose ends have addresses.
type named struct {
	net.Conn
	local, remote net.Addr
}

func (c named) LocalAddr() net.Addr  { return c.local }
func (c named) RemoteAddr() net.Addr { return c.remote }

// from gives the way in which a machine connects.
func (n *network) from(machine string) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, _, addr string) (net.Conn, error) {
		n.mu.Lock()
		h, dead := n.hosts[addr], n.dead[machine]
		n.mu.Unlock()
		refused := &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
		if h == nil || dead || h.refuse != nil && h.refuse() {
			return nil, refused
		}
		mine, theirs := net.Pipe()
		here := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 40_000}
		client, server := named{mine, here, h.Addr()}, net.Conn(named{theirs, h.Addr(), here})
		if h.worsen != nil {
			server = h.worsen(server)
		}
		n.mu.Lock()
		n.links = append(n.links, link{machine, h.name, client, server})
		n.mu.Unlock()
		if h.accept != nil && !h.accept(server) {
			server.Close()
			return client, nil
		}
		select {
		case h.calls <- server:
			return client, nil
		case <-h.closed:
			return nil, refused
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// cut takes a machine off the network, as its sudden death does: all its connections close, and no new one is made.
func (n *network) cut(machine string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.dead[machine] = true
	for addr, h := range n.hosts {
		if h.name == machine {
			delete(n.hosts, addr)
		}
	}
	for _, l := range n.links {
		if l.from == machine || l.to == machine {
			l.client.Close()
			l.server.Close()
		}
	}
}

// sever breaks all connections to a machine, which lives on.
func (n *network) sever(machine string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, l := range n.links {
		if l.to == machine {
			l.client.Close()
			l.server.Close()
		}
	}
}
