package phone

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Money is an amount in one currency, exact to a millionth. The zero Money is nothing, in no currency.
type Money struct {
	micros   int64
	currency string
}

const microsPerUnit = 1_000_000

// ParseMoney reads a decimal amount ("0.6", "-12.05", "1e-1") in a currency (ISO 4217). What is finer than a millionth
// is rounded; more than about 10^12 is no amount. Errors: invalid.
func ParseMoney(amount, currency string) (Money, error) {
	if len(currency) != 3 || strings.Trim(currency, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
		return Money{}, Errorf(Invalid, "%q is not a currency code such as USD", currency)
	}
	f, err := strconv.ParseFloat(amount, 64)
	if err != nil || strings.Trim(amount, "0123456789+-.eE") != "" || math.Abs(f) > 1e12 {
		return Money{}, Errorf(Invalid, "%q is not an amount of money", amount)
	}
	return Money{micros: int64(math.Round(f * microsPerUnit)), currency: currency}, nil
}

// Micros makes an amount from millionths of a currency's unit.
func Micros(n int64, currency string) Money { return Money{micros: n, currency: currency} }

// Micros is the amount in millionths of the currency's unit.
func (m Money) Micros() int64 { return m.micros }

// Currency is the ISO 4217 code.
func (m Money) Currency() string { return m.currency }

// Times multiplies the amount.
func (m Money) Times(n int64) Money { return Money{micros: m.micros * n, currency: m.currency} }

// Amount is the decimal amount with at least two places: "0.60", "0.125".
func (m Money) Amount() string {
	sign, n := "", m.micros
	if n < 0 {
		sign, n = "-", -n
	}
	fraction := strings.TrimRight(fmt.Sprintf("%06d", n%microsPerUnit), "0")
	for len(fraction) < 2 {
		fraction += "0"
	}
	return fmt.Sprintf("%s%d.%s", sign, n/microsPerUnit, fraction)
}

// String is the currency and the amount: "CNY 0.60".
func (m Money) String() string { return m.currency + " " + m.Amount() }

// MarshalText and UnmarshalText write and read the form of String.
func (m Money) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText reads "CNY 0.60". Errors: invalid.
func (m *Money) UnmarshalText(b []byte) error {
	currency, amount, _ := strings.Cut(string(b), " ")
	parsed, err := ParseMoney(amount, currency)
	if err != nil {
		return err
	}
	*m = parsed
	return nil
}

// Cost is what a call cost. Estimated says that it was reckoned here from a published price and not told by the service.
type Cost struct {
	Money     Money `json:"money"`
	Estimated bool  `json:"estimated,omitempty"`
}

// Balance is what an account has left. A service without prepaid credit tells usage alone.
type Balance struct {
	Amount *Money // nil: the service knows no balance
	Usage  string // what it tells instead, in a sentence; may be empty
}
