// Package schema is what clients see: the arguments and structured results of every tool, and how they come from phone's
// vocabulary.
//
// Its one idea: the names of fields are a contract, so they stand in one place, as structs from which the JSON schemas are
// made, and the tools as they are advertised lie beside them in tools/*.json and are compared in tests.
//
// It decides nothing and asks nobody.
package schema
