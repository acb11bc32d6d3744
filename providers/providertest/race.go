//go:build race

package providertest

// Disclosures is how many orders an adapter's test of the disclosure sends. With the race detector each takes five times as long.
const Disclosures = 500
