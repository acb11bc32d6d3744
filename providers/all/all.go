// Package all is the list of adapters. Its one idea: to add one, add a line. It opens none of them.
package all

import (
	"github.com/outdial/outdial/providers"
	"github.com/outdial/outdial/providers/pamela"
	"github.com/outdial/outdial/providers/simulator"
	"github.com/outdial/outdial/providers/stepone"
)

// Specs gives every adapter, in the order in which a number looks for one.
func Specs() []providers.Spec {
	return []providers.Spec{
		stepone.Spec(),
		pamela.Spec(),
		simulator.Spec(),
	}
}
