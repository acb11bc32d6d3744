package pamela

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/outdial/outdial/phone"
)

// A call that carries our identifier, or that is to our number in our time, is on the list though its name there cannot be
// read: nothing says that it never happened.
func TestACallWithoutAReadableName(t *testing.T) {
	about := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	item := func(to, metadata string) string {
		return fmt.Sprintf(`{"uuid":"u","to":%q,"created_at":%q,"metadata":%s}`, to, about.Add(time.Second).Format(time.RFC3339), metadata)
	}
	for name, items := range map[string][]string{
		"with our identifier":      {item("+12025550143", `{"intent_id":"call_7"}`)},
		"behind another one of it": {item("+12025550144", `null`), item("+12025550143", `null`)},
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := pages(t, about, items); err == nil && len(got) == 0 {
				t.Error("there is no such call, it says")
			}
		})
	}
}

// A page that is in no order shows nothing of what comes after it, however old its last call is.
func TestAPageInNoOrder(t *testing.T) {
	about := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	var items []string
	for i := range 250 {
		intent, at := fmt.Sprint("other_", i), about.Add(-time.Duration(i*7919%100)*time.Hour)
		if i == 180 {
			intent, at = "call_7", about
		}
		items = append(items, fmt.Sprintf(`{"id":"c%d","to":"+12025550143","created_at":%q,"metadata":{"intent_id":%q}}`,
			i, at.Format(time.RFC3339), intent))
	}
	if got, err := pages(t, about, items); err == nil && fitting(got) != "c180!" {
		t.Errorf("%q is on the list, it says", fitting(got))
	}
}

// A service that gives fewer calls than it is asked for, and the same ones again, has not shown the rest of which it tells.
func TestAShortPageThatComesAgain(t *testing.T) {
	about := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	var items []string
	for i := range 50 {
		items = append(items, fmt.Sprintf(`{"id":"c%d","to":"+12025550144","created_at":%q}`, i, about.Add(time.Minute).Format(time.RFC3339)))
	}
	d, _ := serve(t, always(200, fmt.Sprintf(`{"items":[%s],"total":300}`, strings.Join(items, ","))))
	if got, err := d.Find(t.Context(), phone.Order{CallID: "call_7", To: number(t, "+12025550143")}, about); phone.CodeOf(err) != phone.Unavailable {
		t.Errorf("50 calls of 300 are the whole list, it says: %q, %v", fitting(got), err)
	}
}

// A tool that was deactivated is not there, though the list may show it: else one that was changed would be taken for
// somebody else's ever after.
func TestDeactivatedToolsAreNotThere(t *testing.T) {
	for item, there := range map[string]int{
		`{"id":"t","name":"a"}`: 1, `{"id":"t","name":"a","is_active":true,"status":"active","deleted_at":null}`: 1,
		`{"id":"t","name":"a","is_active":false}`: 0, `{"id":"t","name":"a","active":false}`: 0, `{"id":"t","name":"a","enabled":false}`: 0,
		`{"id":"t","name":"a","status":"Inactive"}`: 0, `{"id":"t","name":"a","deleted":true}`: 0, `{"id":"t","name":"a","deleted_at":"2026-11-20T12:00:00Z"}`: 0,
	} {
		if all, err := toolList([]byte("[" + item + "]")); err != nil || len(all) != there {
			t.Errorf("%s: %v, %v", item, all, err)
		}
	}
}
