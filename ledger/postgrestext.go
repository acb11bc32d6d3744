package ledger

import (
	"context"
	"database/sql/driver"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
)

// anyText lets a connection keep any text, as SQLite does. Postgres keeps neither U+0000 nor what is no UTF-8: such a text
// is kept quoted, and read as it was.
func anyText(_ context.Context, c *pgx.Conn) error {
	c.TypeMap().RegisterType(&pgtype.Type{Name: "text", OID: pgtype.TextOID, Codec: textCodec{}})
	return nil
}

// quotedText stands before a text that is kept quoted.
const quotedText = "\x01"

func keepable(s string) string {
	if !strings.HasPrefix(s, quotedText) && !strings.Contains(s, "\x00") && utf8.ValidString(s) {
		return s
	}
	return quotedText + strconv.Quote(s)
}

func kept(s string) (string, error) {
	quoted, ok := strings.CutPrefix(s, quotedText)
	if !ok {
		return s, nil
	}
	return strconv.Unquote(quoted)
}

// textCodec is pgx's for text, with keepable and kept around it.
type textCodec struct{ pgtype.TextCodec }

func (c textCodec) PlanEncode(m *pgtype.Map, oid uint32, format int16, value any) pgtype.EncodePlan {
	if _, ok := value.(string); ok {
		return textPlan{}
	}
	return c.TextCodec.PlanEncode(m, oid, format, value)
}

func (c textCodec) PlanScan(m *pgtype.Map, oid uint32, format int16, target any) pgtype.ScanPlan {
	if _, ok := target.(*string); ok {
		return textPlan{}
	}
	return c.TextCodec.PlanScan(m, oid, format, target)
}

func (c textCodec) DecodeDatabaseSQLValue(_ *pgtype.Map, _ uint32, _ int16, src []byte) (driver.Value, error) {
	if src == nil {
		return nil, nil
	}
	return kept(string(src))
}

type textPlan struct{}

func (textPlan) Encode(value any, buf []byte) ([]byte, error) {
	s, _ := value.(string)
	return append(buf, keepable(s)...), nil
}

func (textPlan) Scan(src []byte, target any) (err error) {
	to, ok := target.(*string)
	if ok {
		*to, err = kept(string(src))
	}
	return err
}
