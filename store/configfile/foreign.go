package configfile

import "strings"

// leftOut is what the file of an appliance has and this build has not, by the
// path of the element; with a * in place of a name, any name there. Elements
// that say nothing, or that something is off, are passed over without a word.
func leftOut() map[string]string {
	const (
		unmanaged = "addresses, routes and devices are those of the machine, which this gateway does not change"
		absent    = "this build does not have it"
		clock     = "the clock is that of the machine"
		screening = "this build does not look into messages"
		web       = "this build has no web interface"
	)
	return map[string]string{
		"ports":                       unmanaged,
		"ethernet_settings":           unmanaged,
		"allow_arp_multicast":         unmanaged,
		"default_gateway":             unmanaged,
		"routes":                      unmanaged,
		"dehydration_enabled":         absent,
		"ip_groups":                   absent,
		"fips_mode":                   absent,
		"config_encryption":           absent,
		"ntp":                         clock,
		"timezone":                    clock,
		"system_state":                "what is suspended is not part of the configuration: use suspend and resume",
		"update_interval":             "this build does not update itself",
		"autosupport_enabled":         absent,
		"https_certificate":           web,
		"hostkeys":                    "the keys of the SSH server stay with the machine",
		"sshd/ssh_v1_enabled":         "version 1 of SSH is never spoken",
		"domain_map_table":            absent,
		"ldap":                        absent,
		"perrcpt_policies":            screening,
		"filebeat_config":             absent,
		"syslocation":                 "this build has no SNMP agent",
		"syscontact":                  "this build has no SNMP agent",
		"crl_sources/crl_gui_enabled": web,
		"dns/dnslist":                 "DNS lists have their own times here",

		"interfaces/interface/phys_interface":          unmanaged,
		"interfaces/interface/httpsd_port":             web,
		"interfaces/interface/api_httpd_port":          web,
		"interfaces/interface/api_httpsd_port":         web,
		"interfaces/interface/trailblazer_httpsd_port": web,

		"users/user/email_address": "accounts of this build have no address",

		"dns/alt_dns/alt_dns_domain/nameserver/nameserver_name": "the servers of a domain are asked by address",

		"listeners/listener/smtpauth_enabled":                            absent,
		"listeners/listener/smtpauth_profile_name":                       absent,
		"listeners/listener/SenderBase_timeout":                          screening,
		"listeners/listener/hat_default_accept_untagged_bounces":         absent,
		"listeners/listener/hat_default_smtpauth_allow":                  absent,
		"listeners/listener/hat_default_smtpauth_requiretls":             absent,
		"listeners/listener/rat/rat_entry/rat_params/bypass_ldap_accept": absent,

		"log_subscriptions/*/module":             "a log of this build has no modules",
		"log_subscriptions/log_bounces":          absent,
		"log_subscriptions/log_status":           absent,
		"log_subscriptions/log_scanning":         screening,
		"log_subscriptions/log_antivirus":        screening,
		"log_subscriptions/log_antispam":         screening,
		"log_subscriptions/log_antispam_archive": screening,
		"log_subscriptions/log_euq":              screening,
		"log_subscriptions/log_euqgui":           screening,
		"log_subscriptions/log_reportd":          web,
		"log_subscriptions/log_reportqueryd":     web,
		"log_system_measurements_frequency":      absent,
		"global_stamp_received_with_vg":          absent,
		"global_enable_tarpit":                   absent,
	}
}

// unknown reads over an element that has no place in the table. Known ones of
// an appliance, and all that are in its files, are left out and told; in our
// own files, and in parts of files, another name is a mistake.
func (r *reader) unknown(e tag) {
	if r.absent == nil {
		r.absent = leftOut()
	}
	path := strings.Join(r.path[1:], "/")
	why, known := r.absent[path]
	if !known && len(r.path) > 2 {
		any := append([]string(nil), r.path[1:]...)
		any[1] = "*"
		why, known = r.absent[strings.Join(any, "/")]
	}
	switch {
	case known:
		if r.skip() {
			r.note("<%s>: %s.", path, why)
		}
	case r.foreign:
		r.skip()
		r.note("<%s>: it is not known.", path)
	default:
		r.stop(e.at, "There is no element <%.40s> here.", e.name)
	}
}
