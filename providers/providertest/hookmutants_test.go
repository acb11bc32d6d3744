package providertest

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/outdial/outdial/phone"
	"github.com/outdial/outdial/providers"
)

// receiving is the adapter with another Receive.
type receiving struct {
	*plain
	receive func(p *plain, header http.Header, body []byte) (providers.Notice, error)
}

func (m receiving) Receive(header http.Header, body []byte) (providers.Notice, error) {
	return m.receive(m.plain, header, body)
}

// readsSo changes what is read of a genuine webhook.
func readsSo(change func(n *providers.Notice)) func(*plain) providers.Driver {
	return func(p *plain) providers.Driver {
		return receiving{p, func(p *plain, header http.Header, body []byte) (providers.Notice, error) {
			n, err := p.Receive(header, body)
			if err == nil {
				change(&n)
			}
			return n, err
		}}
	}
}

// trusts changes what is taken for genuine.
func trusts(genuine func(given, body string) bool) func(*plain) providers.Driver {
	return func(p *plain) providers.Driver {
		return receiving{p, func(_ *plain, header http.Header, body []byte) (providers.Notice, error) {
			if !genuine(header.Get(plainSignature), string(body)) {
				return providers.Notice{}, phone.Errorf(phone.Unauthorized, "The webhook is not signed with the secret that is set.")
			}
			return plainNotice(body)
		}}
	}
}

func hookMutants() []mutant {
	const (
		words  = "webhooks tell every word of a call, and not how it stands"
		again  = "a webhook that comes again is known, and changes nothing"
		forged = "a webhook that is not signed as it is is not taken"
		secret = "without a secret no webhook is taken"
	)
	sum := func(body string) string { return plainSum(plainSecret, []byte(body)) }
	return []mutant{
		{"reads no words", words, readsSo(func(n *providers.Notice) { n.Observation.Words = nil })},
		{"takes the agent for the callee", words, readsSo(func(n *providers.Notice) {
			for i := range n.Observation.Words {
				n.Observation.Words[i].Role = phone.Callee
			}
		})},
		{"believes a webhook about the end", words, readsSo(func(n *providers.Notice) {
			if len(n.Observation.Words) > 0 {
				n.Observation.Line = phone.WrappingUp
			}
		})},
		{"gives a call a name of its own", words, readsSo(func(n *providers.Notice) { n.Ref = "plain-" + n.Ref })},
		{"takes each webhook for all that was said so far", words, readsSo(func(n *providers.Notice) { n.Observation.Extent = phone.SoFar })},
		{"knows no webhook again", again, readsSo(func(n *providers.Notice) { n.Digest += time.Now().Format(time.RFC3339Nano) })},
		{"takes all webhooks of a call for one", again, readsSo(func(n *providers.Notice) { n.Digest = string(n.Ref) })},
		{"takes words that come again for new ones", again, readsSo(func(n *providers.Notice) { n.Observation.Extent = phone.Next })},
		{"looks at no signature", forged, trusts(func(string, string) bool { return true })},
		{"takes what has no signature", forged, trusts(func(given, body string) bool { return given == "" || given == sum(body) })},
		{"takes any signature of the right length", forged, trusts(func(given, body string) bool { return len(given) == len(sum(body)) })},
		{"gives an error that is none of ours", forged, func(p *plain) providers.Driver {
			return receiving{p, func(p *plain, header http.Header, body []byte) (providers.Notice, error) {
				n, err := p.Receive(header, body)
				if err != nil {
					return n, context.Canceled
				}
				return n, nil
			}}
		}},
		{"tells its secret", forged, func(p *plain) providers.Driver {
			return receiving{p, func(p *plain, header http.Header, body []byte) (providers.Notice, error) {
				n, err := p.Receive(header, body)
				if err != nil {
					return n, phone.Errorf(phone.Unauthorized, "The webhook is not signed with %s.", p.secret)
				}
				return n, nil
			}}
		}},
		{"takes webhooks without a secret", secret, trusts(func(given, body string) bool { return strings.EqualFold(given, sum(body)) })},
	}
}
