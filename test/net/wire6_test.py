#!/usr/bin/python3
"""IPv6 by the byte: the frames, guests and switch of wire_test.py.

    wire6_test.py SLUICE-SWITCH       as root; prints TAP. TESTS=WORDS chooses by name
"""
import sys

from lab import GATEWAY_MAC, expect, mac_of
from wire_test import IP_OF, OUT_MAC, PEER_MAC, eth, main, packet_with

from scapy.all import (DHCP6_Advertise, DHCP6_Confirm, DHCP6_Decline, DHCP6_InfoRequest, DHCP6_Rebind, DHCP6_Release,
                       DHCP6_Renew, DHCP6_Reply, DHCP6_Request, DHCP6_Solicit, DHCP6OptClientId, DHCP6OptDNSServers,
                       DHCP6OptIA_NA, DHCP6OptIA_PD, DHCP6OptIA_TA, DHCP6OptIAAddress, DHCP6OptPref, DHCP6OptRapidCommit,
                       DHCP6OptServerId, DHCP6OptStatusCode, DUID_LL, Ether, ICMPv6DestUnreach, ICMPv6EchoReply,
                       ICMPv6EchoRequest, ICMPv6MLReport2, ICMPv6ND_NA, ICMPv6ND_NS, ICMPv6ND_RA, ICMPv6ND_Redirect,
                       ICMPv6ND_RS, ICMPv6NDOptDstLLAddr, ICMPv6NDOptMTU, ICMPv6NDOptPrefixInfo, ICMPv6NDOptSrcLLAddr,
                       ICMPv6PacketTooBig, ICMPv6ParamProblem, ICMPv6TimeExceeded, IPv6, IPv6ExtHdrDestOpt,
                       IPv6ExtHdrFragment, IPv6ExtHdrHopByHop, IPv6ExtHdrRouting, Raw, TCP, UDP)


def v6(source, destination, **more):
    return IPv6(src=IP_OF.get(source, source), dst=IP_OF.get(destination, destination), **more)


def test_ipv6(w):
    for what, payload in (("UDP", UDP(sport=1, dport=2) / Raw(b"x")), ("TCP", TCP(sport=1, dport=2)),
                          ("an echo", ICMPv6EchoRequest(id=1) / Raw(b"ping")), ("an option", IPv6ExtHdrDestOpt() / UDP(sport=3, dport=4))):
        frame = eth("p", "q") / v6("p", "q", tc=3, fl=5) / payload
        w.passes(what, "p", frame, "q", frame)
    answer = eth("q", "p") / v6("q", "p") / ICMPv6EchoReply(id=1) / Raw(b"ping")
    w.passes("its answer", "q", answer, "p", answer)
    routed = v6("p", "r", hlim=9) / UDP(sport=5, dport=6)
    w.passes("between subnets", "p", eth("p", GATEWAY_MAC) / routed, "r",
             Ether(src=GATEWAY_MAC, dst=mac_of("r")) / packet_with(routed, hlim=8))
    for destination in ("::1", "::", "ff02::1"):
        w.drops(f"to {destination}", "p", eth("p", "q") / v6("p", destination) / UDP(), "bad-destination")
    for what, source in (("another's", "q"), ("none", "::")):
        w.drops(what, "p", eth("p", "q") / v6(source, "q") / UDP(), "spoofed-ip")
    w.drops("from a link-local address", "p", eth("p", "q") / v6("fe80::1", "q") / UDP(), "link-local")
    w.drops("to one", "p", eth("p", "q") / v6("p", "fe80::1") / UDP(), "link-local")
    w.drops("an error", "p", eth("p", "q") / v6("p", "q") / ICMPv6DestUnreach() / Raw(b"x" * 48), "icmp-no-flow")
    w.drops("from outside", "out", Ether(src=PEER_MAC, dst=OUT_MAC) / v6("2001:db8::1", "p") / UDP(), "not-ours")
    w.quiet()


def refused6(w, what, sender, packet, reason, error, gateway="fd00::1"):
    """The packet is counted, and its sender is told by the gateway, quoting it."""
    w.drops(what, sender, eth(sender, GATEWAY_MAC) / packet, reason)
    got = w.take(sender, 2)
    want = bytes(Ether(src=GATEWAY_MAC, dst=mac_of(sender)) / IPv6(src=gateway, dst=packet.src, hlim=64) /
                 error / Raw(bytes(packet)[:1232]))
    expect(got == want, f"{what}: the error must be\n{want.hex()}\nand is\n{got and got.hex()}")


def test_refusals6(w):
    udp = UDP(sport=1, dport=2) / Raw(b"x" * 1300)
    refused6(w, "the last hop", "p", v6("p", "r", hlim=1) / udp, "ttl", ICMPv6TimeExceeded())
    refused6(w, "to the outside", "p", v6("p", "2001:db8::1") / udp, "ipv6-outside", ICMPv6DestUnreach(code=0))
    refused6(w, "to nobody", "p", v6("p", "fd00::77") / udp, "no-destination", ICMPv6DestUnreach(code=3))
    refused6(w, "the gateway's port", "p", v6("p", "fd00::1") / udp, "no-destination", ICMPv6DestUnreach(code=3))
    big = v6("p", "r") / UDP(sport=1, dport=3) / Raw(b"x" * 1400)
    refused6(w, "too big", "p", big, "too-big", ICMPv6PacketTooBig(mtu=1400))
    answer = eth("r", GATEWAY_MAC) / v6("r", "p") / UDP(sport=3, dport=1)
    w.passes("and what is not", "r", answer, "p", Ether(src=GATEWAY_MAC, dst=mac_of("p")) / packet_with(answer[IPv6], hlim=63))
    w.quiet()


def test_icmp_errors6(w):
    """A NIC's error about a packet that came to it reaches its sender, unchanged but for the hop."""
    sent = v6("p", "r", hlim=9) / UDP(sport=880, dport=881) / Raw(b"x" * 30)
    seen = packet_with(sent, hlim=8)
    w.passes("the packet", "p", eth("p", GATEWAY_MAC) / sent, "r", Ether(src=GATEWAY_MAC, dst=mac_of("r")) / seen)
    for message in (ICMPv6DestUnreach(code=4), ICMPv6PacketTooBig(mtu=1300), ICMPv6TimeExceeded(code=1), ICMPv6ParamProblem()):
        error = v6("r", "p", hlim=40) / message / Raw(bytes(seen))
        w.passes(repr(message), "r", eth("r", GATEWAY_MAC) / error, "p",
                 Ether(src=GATEWAY_MAC, dst=mac_of("p")) / packet_with(error, hlim=39))
    error = v6("r", "p") / ICMPv6DestUnreach(code=4)
    w.drops("its last hop", "r", eth("r", GATEWAY_MAC) / packet_with(error, hlim=1) / Raw(bytes(seen)), "ttl")
    w.drops("with half a quotation", "r", eth("r", GATEWAY_MAC) / error / Raw(bytes(seen)[:47]), "icmp-no-flow")
    w.drops("about nothing", "r", eth("r", GATEWAY_MAC) / error / Raw(bytes(packet_with(seen, nh=6))), "icmp-no-flow")
    w.drops("about an error", "r", eth("r", GATEWAY_MAC) / error / Raw(bytes(v6("p", "r") / ICMPv6DestUnreach() / Raw(bytes(seen)))),
            "icmp-no-flow")
    w.drops("in another's name", "r", eth("r", GATEWAY_MAC) / packet_with(error, src=IP_OF["q"]) / Raw(bytes(seen)), "spoofed-ip")
    w.drops("with a wrong checksum", "r", eth("r", GATEWAY_MAC) / v6("r", "p") / ICMPv6DestUnreach(code=4, cksum=1) /
            Raw(bytes(seen)), "icmp-no-flow")
    w.quiet()


# ---- neighbour discovery and DHCPv6 ----


GATEWAY_LL = "fe80::1034:56ff:fe78:9abc"
LINK = "fe80::20d:3aff:fe00:70"  # p's
ALL_NODES = "33:33:00:00:00:01"


def solicit(target, source=IP_OF["p"], link=mac_of("p"), **more):
    group = "ff02::1:ff" + f"{int(target.rsplit(':', 1)[1] or '0', 16):06x}"[:2] + ":" + target.rsplit(":", 1)[1]
    packet = IPv6(src=source, dst=group, hlim=255) / ICMPv6ND_NS(tgt=target, **more)
    return Ether(src=mac_of("p"), dst="33:33:ff:00:00:00") / (packet / ICMPv6NDOptSrcLLAddr(lladdr=link) if link else packet)


def test_nd(w):
    def advertised(target, mac, router, to=IP_OF["p"], to_mac=mac_of("p"), solicited=1):
        return (Ether(src=mac, dst=to_mac) / IPv6(src=target, dst=to, hlim=255) /
                ICMPv6ND_NA(tgt=target, R=router, S=solicited, O=1) / ICMPv6NDOptDstLLAddr(lladdr=mac))

    for target, mac, router in (("fd00::1", GATEWAY_MAC, 1), (GATEWAY_LL, GATEWAY_MAC, 1), ("fd00:0:0:1::1", GATEWAY_MAC, 1),
                                (IP_OF["q"], mac_of("q"), 0), (IP_OF["r"], GATEWAY_MAC, 0)):
        w.passes(target, "p", solicit(target), "p", advertised(target, mac, router))
        w.passes(target, "p", solicit(target, LINK), "p", advertised(target, mac, router, LINK))
        w.passes(f"a probe of {target}", "p", solicit(target, "::", None), "p",
                 advertised(target, mac, router, "ff02::1", ALL_NODES, 0))
    for target in (IP_OF["p"], "fd00::77", "fe80::77", "2001:db8::1"):
        w.drops(f"for {target}", "p", solicit(target), "nd-unanswered")
    w.drops("a probe of its own", "p", solicit(IP_OF["p"], "::", None), "nd-unanswered")
    w.drops("another's address", "p", solicit("fd00::1", IP_OF["q"]), "spoofed-nd")
    w.drops("the gateway's address", "p", solicit(IP_OF["q"], GATEWAY_LL), "spoofed-nd")
    w.drops("another's MAC", "p", solicit("fd00::1", link=mac_of("q")), "spoofed-nd")
    claim = lambda target, mac: (Ether(src=mac_of("p"), dst=ALL_NODES) / IPv6(src=IP_OF["p"], dst="ff02::1", hlim=255) /
                                 ICMPv6ND_NA(tgt=target, S=0) / ICMPv6NDOptDstLLAddr(lladdr=mac))
    w.drops("an advertisement", "p", claim(IP_OF["p"], mac_of("p")), "nd-heard")
    w.drops("of another's address", "p", claim(IP_OF["q"], mac_of("p")), "spoofed-nd")
    w.drops("of the gateway's", "p", claim("fd00::1", mac_of("p")), "spoofed-nd")
    w.drops("of another's MAC", "p", claim(IP_OF["p"], mac_of("q")), "spoofed-nd")
    for what, message in (("a router's", ICMPv6ND_RA()), ("a redirect", ICMPv6ND_Redirect(tgt=IP_OF["p"], dst=IP_OF["r"]))):
        w.drops(what, "p", Ether(src=mac_of("p"), dst=ALL_NODES) / IPv6(src=LINK, dst="ff02::1", hlim=255) / message, "rogue-router")
    report = IPv6(src=LINK, dst="ff02::16", hlim=1) / IPv6ExtHdrHopByHop() / ICMPv6MLReport2()
    w.drops("a report of multicast", "p", Ether(src=mac_of("p"), dst="33:33:00:00:00:16") / report, "mld")
    w.quiet()


def test_nd_malformed(w):
    """What RFC 4861 says is to be ignored in silence is counted."""
    good = solicit(IP_OF["q"])
    for hops in (0, 1, 64, 254):
        bad = good.copy()
        bad[IPv6].hlim = hops
        w.drops(f"hop limit {hops}", "p", bad, "nd-malformed")
    w.drops("a wrong checksum", "p", solicit(IP_OF["q"], cksum=1), "nd-malformed")
    w.drops("a code", "p", solicit(IP_OF["q"], code=1), "nd-malformed")
    w.drops("a multicast target", "p", solicit("ff02::1"), "nd-malformed")
    w.drops("an option of no length", "p", solicit(IP_OF["q"], link=None) / Raw(b"\x01\x00" + b"\x00" * 6), "nd-malformed")
    w.drops("an option beyond it", "p", solicit(IP_OF["q"], link=None) / Raw(b"\x01\x02" + b"\x00" * 6), "nd-malformed")
    w.drops("half an option", "p", solicit(IP_OF["q"], link=None) / Raw(b"\x01"), "nd-malformed")
    w.drops("a probe with a MAC", "p", solicit(IP_OF["q"], "::"), "nd-malformed")
    probe = solicit(IP_OF["q"], "::", None)
    probe[IPv6].dst = IP_OF["q"]
    w.drops("a probe to one", "p", probe, "nd-malformed")
    body = bytes(IPv6(bytes(good[IPv6]))[ICMPv6ND_NS])
    for length in range(8, 24):
        short = IPv6(src=IP_OF["p"], dst="ff02::1:ff00:5", hlim=255, nh=58) / Raw(body[:length])
        w.drops(f"{length} bytes of it", "p", Ether(src=mac_of("p"), dst=ALL_NODES) / short, "nd-malformed")
    for length in range(0, 8):
        short = IPv6(src=IP_OF["p"], dst="ff02::1:ff00:5", hlim=255, nh=58) / Raw(body[:length])
        w.drops(f"{length} bytes of it", "p", Ether(src=mac_of("p"), dst=ALL_NODES) / short, "truncated")
    parts = IPv6(src=IP_OF["p"], dst="ff02::1:ff00:5", hlim=255) / IPv6ExtHdrFragment(nh=58, m=0, id=3) / Raw(body)
    w.drops("behind a fragment header", "p", Ether(src=mac_of("p"), dst=ALL_NODES) / parts, "nd-malformed")
    w.quiet()


def test_router(w):
    want = (Ether(src=GATEWAY_MAC, dst=ALL_NODES) / IPv6(src=GATEWAY_LL, dst="ff02::1", hlim=255) /
            ICMPv6ND_RA(chlim=64, M=1, O=1, prf=0, routerlifetime=1800) / ICMPv6NDOptSrcLLAddr(lladdr=GATEWAY_MAC))
    for name, mtu, prefix in (("p", 1500, "fd00::"), ("r", 1400, "fd00:0:0:1::")):
        link = ICMPv6NDOptSrcLLAddr(lladdr=mac_of(name))
        for source, option in (("fe80::99", link), (IP_OF[name], link), ("::", Raw(b""))):
            ask = Ether(src=mac_of(name), dst="33:33:00:00:00:02") / IPv6(src=source, dst="ff02::2", hlim=255) / ICMPv6ND_RS() / option
            w.passes(f"{name} asks from {source}", name, ask, name, want / ICMPv6NDOptMTU(mtu=mtu) /
                     ICMPv6NDOptPrefixInfo(prefix=prefix, prefixlen=64, L=1, A=0, validlifetime=0xffffffff,
                                           preferredlifetime=0xffffffff))
    ask = Ether(src=mac_of("a"), dst="33:33:00:00:00:02") / IPv6(src="fe80::a", dst="ff02::2", hlim=255) / ICMPv6ND_RS()
    w.drops("of IPv4 alone", "a", ask, "no-ipv6")
    w.quiet()


def test_gateway_echo6(w):
    for gateway in ("fd00::1", "fd00:0:0:1::1", GATEWAY_LL):
        for source in (IP_OF["p"], LINK):
            ask = eth("p", GATEWAY_MAC) / IPv6(src=source, dst=gateway, hlim=7) / ICMPv6EchoRequest(id=5, seq=6) / Raw(b"hello")
            w.passes(f"{source} asks {gateway}", "p", ask, "p", Ether(src=GATEWAY_MAC, dst=mac_of("p")) /
                     IPv6(src=gateway, dst=source, hlim=64) / ICMPv6EchoReply(id=5, seq=6) / Raw(b"hello"))
    w.drops("in another's name", "p", eth("p", GATEWAY_MAC) / IPv6(src=IP_OF["q"], dst=GATEWAY_LL) / ICMPv6EchoRequest(), "spoofed-ip")
    w.quiet()


def dhcp6(message, sender="p", source=None):
    return (Ether(src=mac_of(sender), dst="33:33:00:01:00:02") / IPv6(src=source or LINK, dst="ff02::1:2", hlim=1) /
            UDP(sport=546, dport=547) / message)


def test_dhcp6(w):
    client = DHCP6OptClientId(duid=DUID_LL(lladdr=mac_of("p")))
    server = DHCP6OptServerId(duid=DUID_LL(lladdr=GATEWAY_MAC))
    dns = DHCP6OptDNSServers(dnsservers=["2620:fe::fe"])
    own = DHCP6OptIAAddress(addr=IP_OF["p"], preflft=0xffffffff, validlft=0xffffffff)
    asked, given = DHCP6OptIA_NA(iaid=9, T1=0, T2=0), DHCP6OptIA_NA(iaid=9, T1=0xffffffff, T2=0xffffffff, ianaopts=[own])
    hinted = DHCP6OptIA_NA(iaid=9, T1=0, T2=0, ianaopts=[DHCP6OptIAAddress(addr=IP_OF["p"])])
    pd_asked, pd_none = DHCP6OptIA_PD(iaid=8, T1=0, T2=0), DHCP6OptIA_PD(iaid=8, T1=0, T2=0, iapdopt=[DHCP6OptStatusCode(statuscode=6)])
    ta_none = DHCP6OptIA_TA(iaid=7, iataopts=[DHCP6OptStatusCode(statuscode=2)])
    done = DHCP6OptStatusCode(statuscode=0)
    rounds = {
        "solicit": (DHCP6_Solicit(trid=1) / client / asked, DHCP6_Advertise(trid=1) / client / server / given / DHCP6OptPref(prefval=255) / dns),
        "a rapid one": (DHCP6_Solicit(trid=2) / client / DHCP6OptRapidCommit() / asked,
                        DHCP6_Reply(trid=2) / client / server / given / DHCP6OptRapidCommit() / dns),
        "request": (DHCP6_Request(trid=3) / client / server / hinted, DHCP6_Reply(trid=3) / client / server / given / dns),
        "renew": (DHCP6_Renew(trid=4) / client / server / hinted, DHCP6_Reply(trid=4) / client / server / given / dns),
        "rebind": (DHCP6_Rebind(trid=5) / client / hinted, DHCP6_Reply(trid=5) / client / server / given / dns),
        "confirm": (DHCP6_Confirm(trid=6) / client / hinted, DHCP6_Reply(trid=6) / client / server / done),
        "release": (DHCP6_Release(trid=7) / client / server / hinted, DHCP6_Reply(trid=7) / client / server / done),
        "decline": (DHCP6_Decline(trid=8) / client / server / hinted, DHCP6_Reply(trid=8) / client / server / done),
        "information": (DHCP6_InfoRequest(trid=9) / client, DHCP6_Reply(trid=9) / client / server / dns),
        "a prefix and a temporary address": (
            DHCP6_Solicit(trid=10) / client / pd_asked / DHCP6OptIA_TA(iaid=7) / asked,
            DHCP6_Advertise(trid=10) / client / server / pd_none / ta_none / given / DHCP6OptPref(prefval=255) / dns),
    }
    for what, (ask, answer) in rounds.items():
        w.passes(what, "p", dhcp6(ask), "p", Ether(src=GATEWAY_MAC, dst=mac_of("p")) /
                 IPv6(src=GATEWAY_LL, dst=LINK, hlim=64) / UDP(sport=547, dport=546) / answer)
    none = DHCP6OptIA_NA(iaid=9, T1=0, T2=0, ianaopts=[DHCP6OptStatusCode(statuscode=2)])
    w.passes("a NIC of IPv4 alone", "a", dhcp6(DHCP6_Solicit(trid=1) / client / asked, "a"), "a",
             Ether(src=GATEWAY_MAC, dst=mac_of("a")) / IPv6(src=GATEWAY_LL, dst=LINK, hlim=64) / UDP(sport=547, dport=546) /
             DHCP6_Advertise(trid=1) / client / server / none / DHCP6OptPref(prefval=255))
    bad = {
        "no identifier": DHCP6_Solicit() / asked,
        "a solicitation to a server": DHCP6_Solicit() / client / server / asked,
        "a server's message": DHCP6_Reply() / client / server,
        "an option beyond the message": DHCP6_Solicit() / client / Raw(b"\x00\x03\xff\xff" + b"\x00" * 12),
        "half an option": DHCP6_Solicit() / client / Raw(b"\x00\x03\x00"),
        "an association of 4 bytes": DHCP6_Solicit() / client / Raw(b"\x00\x03\x00\x04" + b"\x00" * 4),
        "nine associations": DHCP6_Solicit() / client / Raw(bytes(DHCP6OptIA_NA(iaid=1)) * 9),
        "an endless identifier": DHCP6_Solicit() / Raw(b"\x00\x01\x00\xff" + b"\x00" * 255) / asked,
        "two bytes": Raw(b"\x01\x00"),
        "nothing": Raw(b""),
    }
    for what, message in bad.items():
        w.drops(what, "p", dhcp6(message), "dhcp-malformed")
    w.drops("in another's name", "p", dhcp6(DHCP6_Solicit() / client, source=IP_OF["q"]), "spoofed-ip")
    w.drops("in the gateway's", "p", dhcp6(DHCP6_Solicit() / client, source=GATEWAY_LL), "spoofed-ip")
    offer = UDP(sport=547, dport=546) / DHCP6_Advertise() / client / server / given
    w.drops("a server", "p", eth("p", "q") / v6("fe80::1", "fe80::2") / offer, "dhcp-server")
    w.drops("a server with an address", "p", eth("p", "q") / v6("p", "q") / offer, "dhcp-server")
    w.send("p", dhcp6(DHCP6_Request() / client / DHCP6OptServerId(duid=DUID_LL(lladdr=mac_of("q"))) / asked))  # another's
    w.quiet()


def test_absurd_ipv6(w):
    udp = UDP(sport=7, dport=8)
    w.drops("version 4", "p", eth("p", "q") / v6("p", "q", version=4) / udp, "malformed")
    w.drops("IPv4's ICMP", "p", eth("p", "q") / v6("p", "q", nh=1) / Raw(b"\x08\x00" + b"\x00" * 6), "malformed")
    w.drops("a routing header", "p", eth("p", "q") / v6("p", "q") / IPv6ExtHdrRouting(addresses=[IP_OF["r"]]) / udp, "source-route")
    chain = v6("p", "q")
    for _ in range(9):
        chain = chain / IPv6ExtHdrDestOpt()
    w.drops("nine headers", "p", eth("p", "q") / chain / udp, "malformed")
    w.drops("a header beyond the packet", "p", eth("p", "q") / v6("p", "q", nh=0) / Raw(b"\x11\xff" + b"\x00" * 20), "truncated")
    w.drops("a header and nothing", "p", eth("p", "q") / v6("p", "q") / IPv6ExtHdrHopByHop(nh=6), "truncated")
    first = v6("p", "q") / IPv6ExtHdrFragment(nh=17, m=1, id=9) / Raw(bytes(UDP(sport=9, dport=9, len=100)) + b"x" * 16)
    later = v6("p", "q") / IPv6ExtHdrFragment(nh=17, offset=3, id=9) / Raw(b"y" * 16)
    w.drops("a later fragment first", "p", eth("p", "q") / later, "fragment")
    w.passes("a first fragment", "p", eth("p", "q") / first, "q", eth("p", "q") / first)
    w.passes("the later one", "p", eth("p", "q") / later, "q", eth("p", "q") / later)
    tiny = v6("p", "q") / IPv6ExtHdrFragment(nh=6, m=1, id=10) / Raw(b"\x00" * 8)
    w.drops("a first fragment that hides its flags", "p", eth("p", "q") / tiny, "fragment-tiny")
    w.quiet()


TESTS = [
    ("IPv6 passes within its network, and no further", test_ipv6),
    ("who is refused is told by the IPv6 gateway", test_refusals6),
    ("others' ICMPv6 errors follow their connection", test_icmp_errors6),
    ("neighbour discovery is answered by the byte, and refused by reason", test_nd),
    ("neighbour discovery that is to be ignored is dropped by name", test_nd_malformed),
    ("the switch is the router, and says so", test_router),
    ("gateways answer IPv6 echoes", test_gateway_echo6),
    ("DHCPv6 is answered by the byte, and what is none refused", test_dhcp6),
    ("absurd IPv6 headers are dropped by name", test_absurd_ipv6),
]


if __name__ == "__main__":
    sys.exit(main(TESTS))
