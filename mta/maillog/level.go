package maillog

// Level is how much a subscription wants to see, and how urgent a line is.
// Levels are cumulative: a subscription gets its own level and all above it.
type Level int

// The levels as logconfig numbers them (reference 2.7).
const (
	Critical    Level = iota + 1
	Warning           // what an operator should look at
	Information       // the journey of every message
	Debug             // every DNS question
	Trace
)

// String gives the word that stands in a line (reference 2.1).
func (v Level) String() string {
	switch v {
	case Critical:
		return "Critical"
	case Warning:
		return "Warning"
	case Information:
		return "Info"
	case Debug:
		return "Debug"
	default:
		return "Trace"
	}
}
