//! What applications say to each other, as far as flows tell of it: DNS, DHCP, VRRP, TLS and HTTP.
