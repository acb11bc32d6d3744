// Package upstream is what adapters share of HTTP: requests with bounds, answers that are never more than they may be,
// event streams that end when they fall silent, and the one question that matters after a failed dial: may the provider
// have read it?
//
// Its one idea: a request that rings a phone goes out at most once. Dial has a connection of its own, follows no redirect
// and gives net/http nothing to repeat, and its error says unavailable only where not a byte was sent. Read, for
// everything else, may be called again.
//
// It knows no service: paths, fields and the meaning of an answer are the adapters'.
package upstream

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/outdial/outdial/phone"
)

// The bounds of every request.
const (
	MaxBody     = 4 << 20          // bytes of an answer
	DialTimeout = 20 * time.Second // from the first byte sent to the whole answer of a Dial
	ReadTimeout = 15 * time.Second // the same of a Read
	connectFor  = 10 * time.Second // all tries to connect together
	connectTry  = 3                // tries to connect: nothing has been sent by then
)

// Options say which service, and how it is asked.
type Options struct {
	Name   string      // for messages: "StepOne"
	Base   string      // address; plain HTTP for loopback alone
	Header http.Header // sent with every request, the key among it

	DialTimeout, ReadTimeout time.Duration // 0: the package's

	// Connect makes the connections; nil: the network's.
	Connect func(ctx context.Context, network, address string) (net.Conn, error)
}

// Client asks one service.
type Client struct {
	name       string
	base       *url.URL
	header     http.Header
	dial, read *http.Client

	dialTimeout, readTimeout time.Duration
}

// New makes a client. Errors: invalid, if the base is no address that a key may be sent to.
func New(o Options) (*Client, error) {
	base, err := url.Parse(strings.TrimRight(o.Base, "/"))
	if err != nil || base.Hostname() == "" || base.User != nil || base.RawQuery != "" || base.ForceQuery || base.Fragment != "" {
		return nil, phone.Errorf(phone.Invalid, "%s's base address is not an address such as https://api.example.com.", o.Name)
	}
	if base.Scheme != "https" && (base.Scheme != "http" || !loopback(base.Hostname())) {
		return nil, phone.Errorf(phone.Invalid, "%s's base address must be https: the key would travel in the open (plain http is taken for loopback only).", o.Name)
	}
	if o.Connect == nil {
		o.Connect = (&net.Dialer{}).DialContext
	}
	again := trying(o.Connect)
	return &Client{
		name: o.Name, base: base, header: o.Header.Clone(),
		dial: &http.Client{Transport: transport(wired(again), false), CheckRedirect: stay},
		read: &http.Client{Transport: transport(again, true), CheckRedirect: stay},

		dialTimeout: or(o.DialTimeout, DialTimeout), readTimeout: or(o.ReadTimeout, ReadTimeout),
	}, nil
}

// Close lets go of idle connections.
func (c *Client) Close() { c.read.CloseIdleConnections() }

func or(d, otherwise time.Duration) time.Duration {
	if d > 0 {
		return d
	}
	return otherwise
}

func loopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.IsLoopback()
}

// stay follows no redirect: another host would be handed the key and the number.
func stay(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// transport is HTTP/1.1 alone: over HTTP/2 the library repeats requests by rules of its own. A dial's connection is fresh
// and serves once: on a re-used one net/http may send the request a second time, and a server that is about to close it
// leaves an uncertain dial for nothing.
func transport(connect connecting, keepAlive bool) *http.Transport {
	var only http.Protocols
	only.SetHTTP1(true)
	return &http.Transport{
		DialContext:           connect,
		Protocols:             &only,
		DisableKeepAlives:     !keepAlive,
		DisableCompression:    true,
		TLSHandshakeTimeout:   connectFor,
		ResponseHeaderTimeout: ReadTimeout + DialTimeout, // the requests' own timeouts are shorter; streams wait no longer
		IdleConnTimeout:       30 * time.Second,
		MaxIdleConnsPerHost:   4,
	}
}

// Answer is a service's answer, whatever its status.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// Read sends a request that may be sent again. Errors: unavailable.
func (c *Client) Read(ctx context.Context, method, path string, body any) (*Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, c.readTimeout)
	defer cancel()
	a, err := c.do(ctx, c.read, method, path, body, nil)
	if err != nil {
		return nil, c.unreachable(err)
	}
	return a, nil
}

// Date is the time as the service has it, to the second. Errors: unavailable, also if it does not tell.
func (c *Client) Date(ctx context.Context) (time.Time, error) {
	a, err := c.Read(ctx, http.MethodHead, "/", nil)
	if err != nil {
		return time.Time{}, err
	}
	t, err := http.ParseTime(a.Header.Get("Date"))
	if err != nil {
		return time.Time{}, &phone.Error{Code: phone.Unavailable, Message: c.name + " does not tell the time.", Err: err}
	}
	if age, err := strconv.Atoi(a.Header.Get("Age")); err == nil && age > 0 { // a cache has answered (RFC 9111, 5.1)
		t = t.Add(time.Duration(age) * time.Second)
	}
	return t, nil
}

func (c *Client) unreachable(err error) error {
	return &phone.Error{Code: phone.Unavailable, Message: c.name + " cannot be reached. Nothing was sent; try again in a moment.", Err: err}
}

func (c *Client) do(ctx context.Context, client *http.Client, method, path string, body any, header http.Header) (*Answer, error) {
	req, err := c.request(ctx, method, path, body, header)
	if err != nil {
		return nil, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, MaxBody+1))
	if err != nil {
		return nil, fmt.Errorf("reading the answer: %w", err)
	}
	if len(raw) > MaxBody {
		return nil, fmt.Errorf("the answer is longer than %d bytes", MaxBody)
	}
	return &Answer{Status: resp.StatusCode, Header: resp.Header, Body: raw}, nil
}

func (c *Client) request(ctx context.Context, method, path string, body any, header http.Header) (*http.Request, error) {
	var payload io.Reader
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		payload = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base.String()+path, payload)
	if err != nil {
		return nil, err
	}
	req.GetBody = nil // so that net/http has nothing to send again
	for _, h := range []http.Header{c.header, header} {
		maps.Copy(req.Header, h)
	}
	if body != nil && req.Header.Get("Content-Type") == "" {
		req.Header.Set("Content-Type", "application/json; charset=utf-8")
	}
	return req, nil
}
