package store

// MaxConcurrency bounds both concurrencies of mail delivery.
const MaxConcurrency = 50000

// Delivery is how mail leaves.
type Delivery struct {
	Interface      string `label:"Default interface to deliver mail"` // empty: Auto
	Possible       bool   `label:"\"Possible Delivery\""`             // a timeout after the final dot counts as delivered
	Concurrency    int    `label:"Default system wide maximum outbound message delivery concurrency"`
	TLSConcurrency int    `label:"Default system wide TLS maximum outbound message delivery concurrency"`
}

func (c *Config) validateDelivery(p *problems) {
	report := p.at("mail delivery", "deliveryconfig -> SETUP")
	if name := c.Delivery.Interface; name != "" {
		if _, ok := c.Interface(name); !ok {
			report("The interface %q does not exist.", name)
		}
	}
	for _, n := range []int{c.Delivery.Concurrency, c.Delivery.TLSConcurrency} {
		if err := inRange(int64(n), 1, MaxConcurrency); err != nil {
			report("Concurrency %d: %v", n, err)
		}
	}
}

// inRange gives the error of a number outside of its range.
func inRange(n, low, high int64) error {
	if n < low || n > high {
		return refuse("The value must be a number from %d to %d.", low, high)
	}
	return nil
}
