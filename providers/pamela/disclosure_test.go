package pamela

import (
	"net/http"
	"regexp"
	"testing"

	"github.com/outdial/outdial/phone"
	"github.com/outdial/outdial/providers"
	"github.com/outdial/outdial/providers/providertest"
)

// Whatever a model says, in whatever field, each request begins its task and its instructions with the operator's rules, in
// the call's language, and no other field that Pamela's agent may read holds more than a name or a tag.
func TestDisclosure(t *testing.T) {
	desk := providertest.NewDesk(http.StatusCreated, `{"id":"c1","status":"queued"}`)
	t.Cleanup(desk.Close)
	d, err := open(options{key: testKey, base: desk.Base(), connect: desk.Connect})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	p, h := providers.New(Spec(), d, providers.Options{}), providertest.NewHostile(1)
	numbers := []phone.Number{number(t, "+12025550143"), number(t, "+14165550143")}
	name := regexp.MustCompile(`^[\pL\pM\d.'’·&-]+( [\pL\pM\d.'’·&-]+){0,3}$`)
	others := map[string]*regexp.Regexp{
		"to":          regexp.MustCompile(`^\+1[0-9]{10}$`),
		"country":     regexp.MustCompile(`^[A-Z]{2}$`),
		"locale":      regexp.MustCompile(`^[A-Za-z]{2,3}(-[A-Za-z]{4})?(-[A-Za-z]{2}|-[0-9]{3})?$`),
		"voice":       regexp.MustCompile(`^female$`),
		"agent_name":  name,
		"caller_name": name,
		"end_user_id": nil, // these two are kept with the call
		"metadata":    nil,
	}
	refused := 0
	for sent := 0; sent < providertest.Disclosures; {
		o, rules := h.Order(numbers[sent%len(numbers)])
		o.Options = map[string]any{
			"instructions": h.Text(), "end_user_id": h.Name(), "metadata": map[string]any{"task": h.Text(), h.Name(): h.Text()},
		}
		if sent%5 == 0 {
			delete(o.Options, "instructions")
		}
		if sent%7 == 0 {
			o.Voice = "female"
		}
		if (sent+refused)%9 == 0 {
			o.Options["country"] = h.Text()
		}
		if err := p.Check(o); err != nil {
			refused++
			continue
		}
		if sent++; sent%3 == 0 {
			o.CallID = "call_1"
		}
		if _, err := p.Place(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		body := desk.Body()
		for _, wrong := range providertest.Undisclosed(body, rules, []string{"task", "instructions"}, others) {
			t.Errorf("%s: %q\n%.2000q", wrong, o.Language, body)
		}
		if t.Failed() {
			return
		}
	}
	t.Logf("%d orders were sent and %d refused", providertest.Disclosures, refused)
}
