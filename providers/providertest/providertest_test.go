package providertest

import (
	"testing"

	"github.com/outdial/outdial/providers"
)

// A driver that keeps the contract passes the whole of it.
func TestPlain(t *testing.T) {
	Run(t, plainHarness(func(p *plain) providers.Driver { return p }))
}
