//go:build !race

package providertest

// Disclosures is how many orders an adapter's test of the disclosure sends.
const Disclosures = 5_000
