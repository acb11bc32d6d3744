package providertest

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"

	"github.com/outdial/outdial/phone"
	"github.com/outdial/outdial/providers"
	"github.com/outdial/outdial/providers/internal/upstream"
)

// What the adapter plain does with webhooks, and with tools.

const plainSignature = "X-Signature"

func plainSum(secret string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	return hex.EncodeToString(mac.Sum(nil))
}

func (p *plain) Receives() bool { return p.secret != "" }

func (p *plain) Receive(header http.Header, body []byte) (providers.Notice, error) {
	if p.secret == "" || !hmac.Equal([]byte(header.Get(plainSignature)), []byte(plainSum(p.secret, body))) {
		return providers.Notice{}, phone.Errorf(phone.Unauthorized, "The webhook is not signed with the secret that is set.")
	}
	return plainNotice(body)
}

func plainNotice(body []byte) (providers.Notice, error) {
	event, err := upstream.Parse(body)
	if err != nil || event.Text("id") == "" {
		return providers.Notice{}, phone.Errorf(phone.Invalid, "The webhook cannot be read.")
	}
	n := providers.Notice{Ref: phone.Ref(event.Text("id")), Digest: plainSum("", body)}
	if text := event.Text("text"); text != "" {
		n.Observation = phone.Observation{
			Extent: phone.Update, Told: event.Time("at"), Words: []phone.Words{{Role: plainRole(event.Text("role")), Text: text, Final: true}},
		}
	}
	return n, nil
}

func (p *plain) Register(ctx context.Context, t providers.CallTool) (string, error) {
	a, err := p.c.Read(ctx, http.MethodPost, "/tools", map[string]any{"name": t.Name})
	if err == nil {
		err = p.c.Classify(a, false)
	}
	if err != nil {
		return "", err
	}
	answer, err := upstream.Parse(a.Body)
	if id := answer.Text("id"); err == nil && id != "" {
		return id, nil
	}
	return "", phone.Errorf(phone.Unavailable, "Plain's answer names no tool. Try again in a moment.")
}

func (p *plain) Registered(ctx context.Context) ([]providers.RegisteredTool, error) {
	answer, err := p.read(ctx, http.MethodGet, "/tools")
	if err != nil {
		return nil, err
	}
	list, ok := answer["tools"].([]any)
	if !ok {
		return nil, phone.Errorf(phone.Unavailable, "Plain's list of tools cannot be read. Try again in a moment.")
	}
	var all []providers.RegisteredTool
	for _, t := range list {
		t, _ := t.(map[string]any)
		all = append(all, providers.RegisteredTool{ID: upstream.Object(t).Text("id"), Name: upstream.Object(t).Text("name")})
	}
	return all, nil
}

func (p *plain) Deactivate(ctx context.Context, id string) error {
	_, err := p.read(ctx, http.MethodDelete, "/tools/"+id)
	if phone.CodeOf(err) == phone.NotFound {
		return nil
	}
	return err
}
