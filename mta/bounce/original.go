package bounce

import (
	"bufio"
	"bytes"
	"io"
	"strings"
)

// headerLimit is how much of a header a notice copies (reference 4.6).
const headerLimit = 10 << 10

// original is the copy of the message text that a notice ends with.
type original struct {
	body        io.Reader
	contentType string
	encoding    string // content-transfer-encoding; empty is 7bit
	eightBit    bool
}

// copyOfOriginal chooses what is copied: the whole message if it is small
// enough and the sender did not ask for the header alone (RET, RFC 3461
// §4.3), for a delay always the header alone (§6.2).
//
// message/rfc822 may not be encoded (RFC 2046 §5.2.1), so an 8-bit original
// goes out as 8bit and its notice needs 8BITMIME. A message with UTF-8 in its
// header is message/global, which may be encoded (RFC 6533 §4): its notice
// reaches a sender whose server knows neither.
func (n *Notice) copyOfOriginal() (original, error) {
	source := n.Original
	if source == nil {
		source = strings.NewReader("")
	}
	if n.Kind == Failure && n.Message.Return != "HDRS" && n.Message.Size < n.Profile.MaxCopy {
		text := original{
			body:        io.LimitReader(source, n.Profile.MaxCopy),
			contentType: "message/rfc822",
			eightBit:    n.Message.EightBit,
		}
		return text.encoded(n.Message.UTF8, "message/global"), nil
	}
	head, err := readHeader(source)
	if err != nil {
		return original{}, err
	}
	text := original{
		body:        bytes.NewReader(head),
		contentType: "text/rfc822-headers",
		eightBit:    bytes.ContainsFunc(head, func(r rune) bool { return r > 0x7f }),
	}
	return text.encoded(n.Message.UTF8, "message/global-headers"), nil
}

// encoded settles type and encoding; global is the type for a message that
// came with SMTPUTF8.
func (o original) encoded(utf8 bool, global string) original {
	switch {
	case utf8 && o.eightBit:
		o.contentType, o.encoding, o.eightBit = global, "quoted-printable", false
	case o.eightBit:
		o.encoding = "8bit"
	}
	return o
}

func (o original) writeTo(b *bufio.Writer) error {
	if o.encoding == "quoted-printable" {
		return quoted(b, o.body)
	}
	_, err := io.Copy(b, o.body)
	return err
}

// readHeader reads a header with its last line end, at most headerLimit
// bytes and then whole lines only.
func readHeader(r io.Reader) ([]byte, error) {
	head, err := io.ReadAll(io.LimitReader(r, headerLimit))
	if err != nil {
		return nil, err
	}
	if bytes.HasPrefix(head, []byte("\r\n")) {
		return nil, nil
	}
	if end := bytes.Index(head, []byte("\r\n\r\n")); end >= 0 {
		return head[:end+2], nil
	}
	if len(head) == headerLimit {
		head = head[:bytes.LastIndexByte(head, '\n')+1]
	}
	return head, nil
}
