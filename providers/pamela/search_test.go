package pamela

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/outdial/outdial/phone"
)

// pages serves a list in pages and gives what is found on it of the order call_7, dialed at about.
func pages(t *testing.T, about time.Time, items []string) ([]phone.Listed, error) {
	t.Helper()
	d, _ := serve(t, func(_ int, r *http.Request) (int, string) {
		offset := 0
		_, _ = fmt.Sscan(r.URL.Query().Get("offset"), &offset)
		page := items[min(offset, len(items)):min(offset+pageSize, len(items))]
		return 200, fmt.Sprintf(`{"items":[%s],"total":%d}`, strings.Join(page, ","), len(items))
	})
	return d.Find(t.Context(), phone.Order{CallID: "call_7", To: number(t, "+12025550143")}, about)
}

// An order that is looked for hours later stands far down the list: calls that are all too new do not end it.
func TestFindHoursLater(t *testing.T) {
	about := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	var items []string
	for i := range 250 {
		intent := fmt.Sprint("other_", i)
		if i == 180 {
			intent = "call_7"
		}
		items = append(items, fmt.Sprintf(`{"id":"c%d","to":"+12025550143","created_at":%q,"metadata":{"intent_id":%q}}`,
			i, about.Add(time.Duration(180-i)*time.Minute).Format(time.RFC3339), intent))
	}
	if got, err := pages(t, about, items); err != nil || fitting(got) != "c180!" {
		t.Errorf("%s, %v", fitting(got), err)
	}
}

// A call that comes on two pages, because the list has moved on between them, is one.
func TestFindACallListedTwice(t *testing.T) {
	about := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	item := fmt.Sprintf(`{"id":"c","to":"+12025550143","created_at":%q}`, about.Format(time.RFC3339))
	if got, err := pages(t, about, []string{item, item}); err != nil || fitting(got) != "c" {
		t.Errorf("%s, %v", fitting(got), err)
	}
}
