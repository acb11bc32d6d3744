package archtest

import (
	"os"
	"testing"
)

// rule is one rule of this repository: it gives what is wrong, each with its place.
type rule struct {
	name  string
	check func(*tree) []string
}

func rules() []rule {
	return []rule{
		{"files parse", filesParse},
		{"imports go down", importsGoDown},
		{"libraries are confined", librariesAreConfined},
		{"parts of the standard library are confined", standardsAreKept},
		{"packages say what they are for", packagesSayWhatTheyAreFor},
		{"nothing runs before main", nothingRunsBeforeMain},
		{"packages hold no state", packagesHoldNoState},
		{"nobody shares globals", nobodySharesGlobals},
		{"nobody sleeps", nobodySleeps},
		{"skips say why", skipsSayWhy},
		{"files are short", filesAreShort},
		{"adapters are alike", adaptersAreAlike},
		{"adapters are listed", adaptersAreListed},
		{"adapters dial through upstream", adaptersDialThroughUpstream},
		{"nothing points at a machine", nothingPointsAtAMachine},
		{"merges are finished", mergesAreFinished},
		{"dependencies have reasons", dependenciesHaveReasons},
		{"documents name what exists", documentsNameWhatExists},
		{"documents show what they say", documentsShowWhatTheySay},
		{"make knows its targets", makeKnowsItsTargets},
		{"the image runs one static binary as nobody", dockerfile},
		{"the client configuration fits the server", clientConfiguration},
	}
}

func TestRepository(t *testing.T) {
	repository, err := read(os.DirFS("../.."))
	if err != nil {
		t.Fatal(err)
	}
	if len(repository.files) < 10 {
		t.Fatalf("only %d files of Go were found: this is not the repository", len(repository.files))
	}
	for _, r := range rules() {
		t.Run(r.name, func(t *testing.T) {
			for _, wrong := range r.check(repository) {
				t.Error(wrong)
			}
		})
	}
}
