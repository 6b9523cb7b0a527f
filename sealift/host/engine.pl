# What a host's Docker says, asked over its socket: its client takes ten times the processor time, for each question
# anew. Arguments: what is asked, as engine.py says. Lines: `engine=QUESTION<tab>ANSWER`; `late` where not all was
# answered in time, `fails` where Docker runs and does not say what it has. Changes nothing.
# perl-base is in every Debian.
use strict;
use warnings;
use Fcntl;    # Socket and Config take longer to load than all else together

my $SOCKET = "/run/docker.sock";
my $MOST = 8 << 20;    # bytes of an answer
my $LABEL = qr/"com\.docker\.compose\.project":"([a-z0-9][a-z0-9_.-]*)"/;
my %SETNS = (62 => 308, 183 => 268);    # by the machine that a program is for: setns; elf(5), syscalls(2)
my ($UNIX, $INET, $STREAM, $LOOPBACK) = (1, 2, 1, 0x7f000001);    # socket(2)
my %asked = map { $_ => 1 } @ARGV;
$| = 1;

sub slurp {    # a file's first bytes; none of what is no regular file, or a link
    my ($path, $most) = @_;
    my $text = "";
    sysopen(my $file, $path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK) or return "";
    sysread($file, $text, $most) if -f $file;
    return $text;
}

sub runs {     # a stopped Docker would be started by whoever connects
    -S $SOCKET or return 0;
    return slurp("/proc/$1/comm", 20) eq "dockerd\n" if slurp("/run/docker.pid", 20) =~ /^([0-9]+)/;
    return `systemctl is-active docker` eq "active\n";
}

sub answer {    # all that comes, up to a bound
    my ($from) = @_;
    my $text = "";
    while (length($text) < $MOST && sysread($from, $text, 65536, length($text))) { }
    return $text;
}

sub report {
    my ($question, $said) = @_;
    print "engine=$question\t$said\n" if defined $said;
}

sub get {       # an answer's body, on one line: JSON has line ends between its values only; and the status
    my ($path) = @_;
    my @nothing = (undef, "nothing");
    socket(my $to, $UNIX, $STREAM, 0) or return @nothing;
    connect($to, pack("S a108", $UNIX, $SOCKET)) or return @nothing;
    syswrite($to, "GET $path HTTP/1.0\r\nHost: docker\r\n\r\n");
    my ($head, $body) = split(/\r\n\r\n/, answer($to), 2);
    my ($status) = ($head // "") =~ m{^HTTP/1\.. ([0-9]{3}) } or return @nothing;
    return undef, $status if $status ne "200";
    $body =~ tr/\r\n//d;
    return $body, $status;
}

sub known {     # what Docker always knows; of a single image or container it may not: that is gone by then
    my ($path) = @_;
    my ($body, $status) = get($path);
    report("fails", "$status to " . ($path =~ s/\?.*//r)) if !defined $body;
    return $body;
}

sub inside {    # what a port on loopback in a container says: through its network, nothing of the container is run
    my ($pid, $port, $request) = @_;
    open(my $program, "<:raw", "/proc/self/exe") or return "";
    sysread($program, my $head, 20) == 20 or return "";
    my $setns = $SETNS{unpack("x18 v", $head)} or return "";
    my $child = open(my $from, "-|") // return "";
    if (!$child) {
        $SIG{ALRM} = "DEFAULT";
        alarm 5;
        open(my $network, "<", "/proc/$pid/ns/net") or exit 1;
        syscall($setns, fileno($network), 0x40000000) == 0 or exit 1;    # CLONE_NEWNET, of setns(2)
        socket(my $to, $INET, $STREAM, 0) or exit 1;
        connect($to, pack("S n N x8", $INET, $port, $LOOPBACK)) or exit 1;
        syswrite($to, $request);
        print answer($to);
        exit 0;
    }
    my $said = answer($from);
    close($from);
    return $said;
}

sub models {    # what Ollama has in memory; how many runners there are; of roles that do not answer, why
    my ($question, $pid) = @_;
    my $said = inside($pid, $question =~ /:([0-9]+)$/, "GET /api/ps HTTP/1.0\r\nHost: localhost\r\n\r\n");
    if ($said =~ s{^HTTP/1\.. 200 .*?\r\n\r\n}{}s) {
        $said =~ tr/\r\n//d;
        report($question, "loaded $said");
    }
    my $own = readlink("/proc/$pid/ns/pid") // return;
    my $runners = 0;
    for my $process (glob("/proc/[0-9]*")) {
        next if (readlink("$process/ns/pid") // "") ne $own;
        $runners++ if slurp("$process/cmdline", 65536) =~ m{blobs/sha256-};
    }
    report($question, "runners $runners");
    # Containers write to that folder, and root follows no link there, nor waits for what never ends.
    sysopen(my $folder, "/proc/$pid/root/tmp", O_RDONLY | O_NOFOLLOW | O_DIRECTORY) or return;
    my $there = "/proc/self/fd/" . fileno($folder);
    opendir(my $listed, $there) or return;
    for my $name (sort(readdir($listed))) {
        next unless $name =~ /^failed-([A-Za-z0-9._-]+)$/;
        my $role = $1;
        my $why = slurp("$there/$name", 300);
        $why =~ tr/\n/ /;
        report($question, "failed $role $why");
    }
}

sub says {      # what a service says of itself, line by line
    my ($question, $pid) = @_;
    my ($port, $path) = $question =~ m{^[^:]*:[^:]*:([0-9]+)(/.*)$} or return;
    my $request = "GET $path HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    report($question, $_) for split(/\r?\n/, inside($pid, $port, $request));
}

exit 0 unless runs();
$SIG{ALRM} = sub { report("late", ""); kill("KILL", $$) };    # exit would wait for what it began
alarm 30;
for my $question ("info", "networks") {
    report($question, known("/$question")) if $asked{$question};
}
if ($asked{images}) {
    my %ids = map { $_ => 1 } (known("/images/json?all=1") // "") =~ /"Id":"(sha256:[0-9a-f]{64})"/g;
    report("images", (get("/images/$_/json"))[0]) for sort(keys %ids);
}
my $listed = known("/containers/json?all=1") // exit 0;
report("containers", "all $listed") if $asked{containers};
my @within = grep { /^(models|says|sees):/ } keys %asked;
my (%ids, %seen);
$ids{$_} = 1 for $listed =~ /"Id":"([0-9a-f]{64})"/g;
for my $id (sort(keys %ids)) {
    next unless $asked{policies} || @within;
    my ($said) = get("/containers/$id/json");
    next if !defined $said;
    my ($policy) = $said =~ /"RestartPolicy":\{"Name":"([a-z-]*)"/;
    report("policies", "$id " . ($policy // "")) if $asked{policies};
    my ($pid) = $said =~ /"Pid":([0-9]+)/;
    next unless $pid && $said =~ $LABEL;
    my $project = $1;
    for my $question (grep { /^[a-z]+:\Q$project\E:/ } @within) {
        if ($question =~ /^models/) { models($question, $pid) }
        elsif ($question =~ /^says/) { says($question, $pid) }
        elsif ($question =~ m{:(/.*)$}) {
            my $file = "/proc/$pid/root$1";
            $seen{$file} = "$question\t$id" if -f $file;
        }
    }
}
%seen or exit 0;
open(my $digests, "-|", "sha256sum", sort(keys %seen)) or exit 0;
while (my $line = <$digests>) {
    my ($digest, $file) = $line =~ m{^([0-9a-f]{64})  (/.*)$} or next;
    my ($question, $id) = split(/\t/, $seen{$file} // next);
    report($question, "$id $digest");
}
