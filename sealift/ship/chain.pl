# A host's part in a chain: takes blobs from the host before it, gives them to the next while they arrive.
# Arguments: folder of blobs, of partial blobs, and one for as long as this runs. Core modules of perl-base alone.
# Obeys lines on standard input:
#   file NAME                a file of the folder, mode 0600: the lines up to one that is a dot
#   item HEX SIZE FROM TO    a blob: the offset that this host takes it from, and gives it on from; or a dash
#   listen ADDRESS PORT      an sshd of its own takes the bytes in: `listening`, or `error WHY`
#   rate BYTES               per second: takes no more, and gives no more; 0: as it comes
#   go [ADDRESS PORT]        begins; the address is that of the next host
#   alive                    the control node is; without a line for a minute it is taken to be gone
# Says: `ok HEX` and `bad HEX` of blobs that came, `at BYTES` of all that came, `waiting SECONDS` for more,
# `busy`, `cut in` and `cut out WHY` where a neighbour is gone, `error WHY`, `done`; `here` each second.
# Where standard input ends it ends, with all that it began; partial blobs stay.
use strict;
use warnings;
use Fcntl;
use IO::Handle;
use POSIX ();

# A neighbour may hash for an hour what it has of a blob before it takes more.
use constant { CHUNK => 1 << 20, SET_PIPE_SIZE => 1031, STUCK_S => 6 * 3600, ALONE_S => 60 };
use constant TICKS => POSIX::sysconf(POSIX::_SC_CLK_TCK());
my ($blobs, $partial, $dir) = @ARGV;
my ($main, @items, %children, $told) = $$;
my ($rate, $due) = (0, 0);
$0 = 'sealift-chain';    # as ps and systemctl show it
$SIG{PIPE} = 'IGNORE';
$| = 1;
$told = 0;

sub tell_control { print STDOUT "@_\n" }

sub wrong { tell_control('error', @_); finish() if $$ == $main; POSIX::_exit(1) }

sub child {    # a process of its own; its name, by number
    my ($name, $work) = @_;
    my $pid = fork // wrong("cannot fork: $!");
    if (!$pid) { $SIG{$_} = 'DEFAULT' for qw(TERM INT HUP); %children = (); $0 = "sealift-chain: $name"; $work->(); POSIX::_exit(0) }
    $children{$pid} = $name;
    return $pid;
}

sub now { (POSIX::times())[0] / TICKS }    # seconds, by a clock that nobody sets

sub put {      # all of it
    my ($out, $bytes, $name) = @_;
    my $at = 0;
    while ($at < length $bytes) {
        alarm STUCK_S;
        my $count = syswrite($out, $bytes, length($bytes) - $at, $at);
        return if !defined $count && $name eq '';
        wrong("$name: $!") if !defined $count;
        $at += $count;
    }
    alarm 0;
    return 1;
}

sub now_and_then { my $now = int(now()); return if $now == $told; $told = $now; tell_control(@_) }

sub pause {    # a moment; Time::HiRes is not in perl-base
    end_with_main();
    select(undef, undef, undef, 0.01);
}

sub end_with_main { POSIX::_exit(1) if $$ != $main && getppid() != $main }

sub portion {  # of what is left, to take at once
    my ($left) = @_;
    my $most = $rate && $rate / 8 < CHUNK ? int($rate / 8) + 1 : CHUNK;
    return $left < $most ? $left : $most;
}

sub pace {     # so many bytes went: wait until more may
    return if !$rate;
    my $now = now();
    $due = ($due > $now ? $due : $now) + $_[0] / $rate;
    select(undef, undef, undef, $due - $now);
}

sub hasher {
    pipe(my $from, my $in) && pipe(my $out, my $to) or wrong("cannot hash: $!");
    fcntl($in, SET_PIPE_SIZE, CHUNK);
    my $pid = fork // wrong("cannot fork: $!");
    if (!$pid) {
        open(STDIN, '<&', $from); open(STDOUT, '>&', $to);
        exec 'sha256sum' or POSIX::_exit(1);
    }
    return ($in, $out, $pid);
}

sub store {    # to disk, marked as verified, into place; see receiver.sh
    my @files = map { "$partial/$_" } @_;
    return if !@files;
    my $pid = fork // wrong("cannot fork: $!");
    if (!$pid) { exec 'sync', '--', @files or POSIX::_exit(1) }
    while (waitpid($pid, POSIX::WNOHANG()) == 0) { now_and_then('busy'); pause() }
    wrong("cannot bring blobs to its disk") if $?;
    for my $hex (@_) {
        chmod(0444, "$partial/$hex") && utime(1, 1, "$partial/$hex") && rename("$partial/$hex", "$blobs/$hex")
            or wrong("$hex: cannot be stored: $!");
    }
    system('sync', '--', $blobs, $partial) == 0 or wrong("cannot bring its store to its disk");
    tell_control('ok', $_) for @_;
}

sub receive {
    sysopen(my $in, "$dir/in", O_RDONLY) or wrong("$dir/in: $!");
    open(my $bad, '>', "$dir/bad") or wrong("$dir/bad: $!");    # stays for the giver; `finish` removes it
    fcntl($in, SET_PIPE_SIZE, CHUNK);
    my ($all, $since, @received) = (0, 0);
    for my $item (@items) {
        my ($hex, $size, $from) = @$item;
        next if $from eq '-';
        my $path = "$partial/$hex";
        open(my $file, '>>', $path) or wrong("$path: $!");
        wrong("$hex: is no longer as it was listed") if -s $file != $from;
        my ($hash, $sum, $pid) = hasher();
        if ($from) {
            open(my $before, '<', $path) or wrong("$path: $!");
            while (sysread($before, my $bytes, CHUNK)) { put($hash, $bytes, 'sha256sum'); now_and_then('busy') }
        }
        my ($left, $waited) = ($size - $from, now());
        while ($left > 0) {
            my $ready = '';
            vec($ready, fileno $in, 1) = 1;
            if (!select($ready, undef, undef, 1)) {
                end_with_main();
                tell_control('waiting', int(now() - $waited));
                next;
            }
            my $count = sysread($in, my $bytes, portion($left));
            if (!$count) { tell_control('cut in'); POSIX::_exit(1) }
            put($file, $bytes, $hex);
            put($hash, $bytes, 'sha256sum');
            ($left, $all, $waited) = ($left - $count, $all + $count, now());
            now_and_then('at', $all);
            pace($count);
        }
        close $hash;
        my $line = <$sum> // '';
        waitpid($pid, 0);
        if ($line !~ /^\Q$hex\E /) { put($bad, "$hex\n", 'bad'); tell_control('bad', $hex); next }
        push @received, $hex;
        $since += $size;
        if (@received >= 50 || $since >= 50_000_000) { store(@received); @received = (); $since = 0 }
    }
    store(@received);
    tell_control('at', $all);
}

sub give {     # from this host's files, as they grow: a slow neighbour holds up only those behind it
    my ($out) = @_;
    fcntl($out, SET_PIPE_SIZE, CHUNK);
    for my $item (@items) {
        my ($hex, $size, $from, $to) = @$item;
        next if $to eq '-';
        my $file;
        # What lies there beside that, such as another partial blob, is not what the next host is to get.
        pause() until $from ne '-' && open($file, '<', "$partial/$hex")
            || open($file, '<', "$blobs/$hex") && -s $file == $size;
        sysseek($file, $to, 0);
        my $left = $size - $to;
        while ($left > 0) {
            my $count = sysread($file, my $bytes, portion($left)) // wrong("$hex: $!");
            if (!$count) { pause(); next }
            put($out, $bytes, '') or POSIX::_exit(1);
            $left -= $count;
            pace($count);
        }
    }
}

sub listening {
    my ($address, $port) = @_;
    mkdir '/run/sshd', 0755;    # systemd makes it only while an sshd of the host's own runs
    child('sshd', sub {
        open(STDOUT, '>', "$dir/said"); open(STDERR, '>&', \*STDOUT); open(STDIN, '<', '/dev/null');
        exec '/usr/sbin/sshd', '-D', '-e', '-f', "$dir/sshd_config" or POSIX::_exit(1);
    });
    for (1 .. 1000) {
        return tell_control('listening') if last_line('said') =~ /^Server listening on /;
        if ((my $pid = waitpid(-1, POSIX::WNOHANG())) > 0) { delete $children{$pid}; last }
        now_and_then('here');
        pause();
    }
    tell_control('error', "cannot listen on $address:$port:", last_line('said'));
}

sub last_line {
    open(my $file, '<', "$dir/$_[0]") or return 'silently';
    my @lines = <$file>;
    my $line = $lines[-1] // 'silently';
    $line =~ s/[^ -~]//g;
    return substr($line, 0, 200);
}

sub begin {
    my ($address, $port) = @_;
    my %wanted = map { ($_->[0] => 1) } grep { $_->[2] eq '0' } @items;
    unlink "$partial/$_" for keys %wanted;
    child('receiver', \&receive) if grep { $_->[2] ne '-' } @items;
    return if !defined $address || !grep { $_->[3] ne '-' } @items;    # its receiver would not be there
    pipe(my $from, my $to) or wrong("cannot make a pipe: $!");
    child('next', sub {
        open(STDIN, '<&', $from); open(STDOUT, '>', "$dir/ssh.said"); open(STDERR, '>&', \*STDOUT);
        exec 'ssh', '-F', "$dir/ssh_config", '-p', $port, $address or POSIX::_exit(1);
    });
    child('giver', sub { close $from; give($to) });
}

sub taker {    # whether a process is what sshd runs to take the bytes in, before or after its exec: numbers are reused
    my ($pid) = @_;
    return 1 if (readlink("/proc/$pid/fd/1") // '') eq "$dir/in";
    open(my $file, '<', "/proc/$pid/cmdline") or return 0;
    return (<$file> // '') =~ m{\Q$dir/in\E};
}

sub finish {
    if (open(my $file, '<', "$dir/pid")) {
        kill 'TERM', $1 if (<$file> // '') =~ /^(\d+)$/ && taker("$1");
    }
    kill 'TERM', keys %children;
    kill 'CONT', keys %children;
    if (open(my $bad, '<', "$dir/bad")) { while (<$bad>) { unlink "$partial/$1" if /^([0-9a-f]{64})$/ } }
    system('rm', '-rf', '--', $dir);
    exit 0;
}

$SIG{$_} = \&finish for qw(TERM INT HUP);
system('rm', '-rf', '--', $dir);
mkdir $dir, 0700 or wrong("$dir: $!");
POSIX::mkfifo("$dir/in", 0600) or wrong("$dir/in: $!");
tell_control('ready');
my ($text, $went, $ended, $heard) = ('', 0, 0, now());
while (now() - $heard < ALONE_S) {
    now_and_then('here');
    my $ready = '';
    vec($ready, 0, 1) = 1;
    if (select($ready, undef, undef, 0.1)) {
        sysread(STDIN, $text, 65536, length $text) or last;
        $heard = now();
    }
    while ($text =~ s/\Afile (\w+)\n(.*?)^\.\n//ms || $text =~ s/\A(?!file)([^\n]*)\n//) {
        if (defined $2) {
            sysopen(my $file, "$dir/$1", O_WRONLY | O_CREAT | O_TRUNC, 0600) or wrong("$dir/$1: $!");
            put($file, $2, $1);
            next;
        }
        my ($verb, @words) = split / /, $1;
        if ($verb eq 'item') { push @items, [@words] }
        elsif ($verb eq 'rate') { $rate = $words[0] }
        elsif ($verb eq 'listen') { listening(@words) }
        elsif ($verb eq 'go') { begin(@words); $went = 1 }
    }
    while ((my $pid = waitpid(-1, POSIX::WNOHANG())) > 0) {
        my $name = delete $children{$pid} // next;
        $ended = 1 if $?;
        tell_control('error', "its $name was killed") if $? & 127 && $name ne 'next';
        tell_control('cut out', last_line('ssh.said')) if $name eq 'next' && $?;
    }
    if ($went && !$ended && !grep { $_ ne 'sshd' } values %children) { tell_control('done'); $went = 0 }
}
finish();
