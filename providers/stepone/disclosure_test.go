package stepone

import (
	"net/http"
	"regexp"
	"testing"

	"github.com/outdial/outdial/providers"
	"github.com/outdial/outdial/providers/internal/upstream"
	"github.com/outdial/outdial/providers/providertest"
)

// Whatever a model says, in whatever field, each request begins its requirement with the operator's rules, in the call's
// language, and of the other fields only those hold a text that name a voice or a model from the service's lists.
func TestDisclosure(t *testing.T) {
	desk := providertest.NewDesk(http.StatusOK, `{"success":true,"call_ids":["c-1"]}`)
	t.Cleanup(desk.Close)
	d, err := openWith(providers.Config{"api_key": key, "api_base": desk.Base()}, upstream.Options{Connect: desk.Connect})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	p, h := providers.New(Spec(), d, providers.Options{}), providertest.NewHostile(2)
	to, refused := number(t, mobile), 0
	others := map[string]*regexp.Regexp{
		"phones":       regexp.MustCompile(`^1[0-9]{10}$`),
		"speed":        regexp.MustCompile(`^50$`),
		"emotion":      regexp.MustCompile(`^[A-Za-z0-9]{1,20}$`),
		"voice_id":     regexp.MustCompile(`(?s)^.{1,100}$`), // these two are looked up in lists
		"model_engine": regexp.MustCompile(`(?s)^.{1,100}$`),
	}
	for sent := 0; sent < providertest.Disclosures; {
		o, rules := h.Order(to)
		o.Options = map[string]any{"speed": 50.0}
		switch (sent + refused) % 4 {
		case 0:
			o.Options["model_engine"] = h.Name()
		case 1:
			o.Options["emotion"] = h.Name()
		case 2:
			o.Voice = h.Name()
		}
		if err := p.Check(o); err != nil {
			refused++
			continue
		}
		sent++
		if _, err := p.Place(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		body := desk.Body()
		for _, wrong := range providertest.Undisclosed(body, rules, []string{"user_requirement"}, others) {
			t.Errorf("%s: %q\n%.2000q", wrong, o.Language, body)
		}
		if t.Failed() {
			return
		}
	}
	t.Logf("%d orders were sent and %d refused", providertest.Disclosures, refused)
}
