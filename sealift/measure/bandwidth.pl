# How fast all processors together read memory: `read=BYTES_PER_SECOND` lines, one a round. Perl is essential on Debian
# and Ubuntu, and `index` is the C library's memchr, which reads as fast as memory gives. $1: rounds.
use strict;
use warnings;

my ($rounds) = @ARGV;
my $window = 0.6;    # seconds, by /proc/uptime, which counts hundredths
my $most   = 256;    # MiB of each processor: more than its share of any cache

sub now {
    open my $file, '<', '/proc/uptime' or die "no /proc/uptime\n";
    my ($seconds) = split ' ', <$file>;
    return $seconds;
}

sub first_of {
    my ($path, $pattern) = @_;
    open my $file, '<', $path or die "no $path\n";
    my @found = map { /$pattern/ ? $1 // 1 : () } <$file>;
    return @found;
}

my $cpus = first_of('/proc/cpuinfo', qr/^processor\b/);
my ($available) = first_of('/proc/meminfo', qr/^MemAvailable:\s+(\d+) kB/);
my $mib = int(($available || 0) / 1024 / 4 / $cpus);    # a quarter of what is free, for all together
$mib = $most if $mib > $most;
die "too little memory is free\n" if $mib < 32;

pipe(my $done, my $told) or die "no pipe\n";
my @crew;
for (1 .. $cpus) {
    pipe(my $wait, my $go) or die "no pipe\n";
    my $pid = fork() // die "no process\n";
    if (!$pid) {
        close $go;
        close $done;
        close $_ for @crew;
        my $bytes = "\1" x ($mib << 20);
        syswrite $told, "ready\n";
        while (sysread $wait, my $said, 1) {
            my ($begin, $read) = (now(), 0);
            my $end = $begin;
            while ($end - $begin < $window) {
                die "memory is broken\n" if index($bytes, "\2") >= 0;
                $read += length $bytes;
                $end = now();
            }
            syswrite $told, sprintf "%.0f\n", $read / ($end - $begin);
        }
        exit 0;
    }
    close $wait;
    push @crew, $go;
}
close $told;
<$done> // die "a process died\n" for 1 .. $cpus;
print "cpus=$cpus\n";
for (1 .. $rounds) {
    syswrite $_, "g" for @crew;
    my $sum = 0;
    $sum += <$done> // die "a process died\n" for 1 .. $cpus;
    print "read=$sum\n";
}
close $_ for @crew;
1 while wait() > 0;
