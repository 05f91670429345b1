/*
 * ptrace(2), as CRIU's compel does it, with three differences: the thread runs the `syscall` instruction of its vdso, so
 * that nothing is written into its memory; it is let go from the kind of stop that it was caught in, so that the kernel
 * itself restarts an interrupted system call; a thread inside a restartable sequence (rseq(2)) is asked again later.
 */
#include "inject.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../init/arguments.h"
#include "mappings.h"
#include "processes.h"
#include "uapi.h"

#ifndef __x86_64__
#error "the registers of system calls are known for x86-64 only"
#endif

/* linux/ptrace.h and sys/ptrace.h cannot be included together. */
#define GET_RSEQ_CONFIGURATION 0x420f
struct rseq_configuration {
	uint64_t pointer;
	uint32_t size, signature, flags, pad;
};

/* struct sched_attr of sched_setattr(2): its header defines struct sched_param anew. */
struct schedule {
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
};

#define STOP_SECONDS 10
#define SEQUENCE_TRIES 100

struct tracee {
	pid_t pid, thread;
	uint64_t instruction; /* address of a `syscall` instruction */
	bool stop_again;      /* a SIGSTOP came in between */
	int64_t since;	      /* when it stopped */
	struct user_regs_struct saved;
	uint64_t mask;
	struct schedule schedule;
};

/* Waits for the next stop; the timer breaks it off where one is set. */
static int next_stop(struct tracee *tracee, int *status)
{
	if (waitpid(tracee->thread, status, __WALL) < 0) {
		errno = errno == EINTR ? ETIMEDOUT : ESRCH;
		return -1;
	}
	if (!WIFSTOPPED(*status)) {
		errno = ESRCH;
		return -1;
	}
	return 0;
}

static int resume_until(struct tracee *tracee, int how, bool (*wanted)(int status))
{
	int status;
	for (;;) {
		if (ptrace(how, tracee->thread, NULL, NULL) < 0 || next_stop(tracee, &status) < 0)
			return -1;
		if (wanted(status))
			return 0;
		/* All signals are blocked; SIGSTOP cannot be. It is sent again afterwards. */
		if (WSTOPSIG(status) == SIGSTOP && status >> 16 == 0)
			tracee->stop_again = true;
	}
}

static bool is_syscall_stop(int status)
{
	return WSTOPSIG(status) == (SIGTRAP | 0x80);
}

static bool is_event_stop(int status)
{
	return status >> 16 == PTRACE_EVENT_STOP;
}

/* Runs one system call in the stopped thread: its result, negative errno included. -1 with errno where that failed. */
static int run_syscall(struct tracee *tracee, long *result, long number, long first, long second)
{
	struct user_regs_struct registers = tracee->saved;
	registers.rip = tracee->instruction;
	registers.rax = (unsigned long)number;
	registers.rdi = (unsigned long)first;
	registers.rsi = (unsigned long)second;
	registers.orig_rax = (unsigned long)-1; /* nothing to restart */
	if (ptrace(PTRACE_SETREGS, tracee->thread, NULL, &registers) < 0 ||
	    resume_until(tracee, PTRACE_SYSCALL, is_syscall_stop) < 0 ||
	    resume_until(tracee, PTRACE_SYSCALL, is_syscall_stop) < 0 ||
	    ptrace(PTRACE_GETREGS, tracee->thread, NULL, &registers) < 0)
		return -1;
	*result = (long)registers.rax;
	return 0;
}

/* Whether the thread stands inside a restartable sequence: moved away and back it would go on as if nothing had been. */
static bool in_sequence(struct tracee *tracee, int memory)
{
	struct rseq_configuration area;
	struct {
		uint32_t version, flags;
		uint64_t start, length, abort;
	} sequence;
	uint64_t pointer;
	long size = ptrace(GET_RSEQ_CONFIGURATION, tracee->thread, sizeof area, &area);
	if (size != sizeof area || area.pointer == 0)
		return false;
	if (pread(memory, &pointer, sizeof pointer, (off_t)area.pointer + 8) != sizeof pointer || pointer == 0)
		return false;
	if (pread(memory, &sequence, sizeof sequence, (off_t)pointer) != sizeof sequence)
		return true;
	return tracee->saved.rip - sequence.start < sequence.length;
}

/* Until the thread stands where it can be sent elsewhere, its registers saved. */
static int stop(struct tracee *tracee, int memory)
{
	for (int tries = 0;; tries++) {
		int status;
		if (ptrace(PTRACE_INTERRUPT, tracee->thread, NULL, NULL) < 0)
			return -1;
		for (;;) {
			if (next_stop(tracee, &status) < 0)
				return -1;
			tracee->since = monotonic_ns();
			if (is_event_stop(status))
				break;
			/* A signal that came first is delivered as if nobody watched. */
			if (ptrace(PTRACE_CONT, tracee->thread, NULL, (long)WSTOPSIG(status)) < 0)
				return -1;
		}
		if (ptrace(PTRACE_GETREGS, tracee->thread, NULL, &tracee->saved) < 0)
			return -1;
		if (!in_sequence(tracee, memory))
			return 0;
		if (tries == SEQUENCE_TRIES) {
			errno = EAGAIN;
			return -1;
		}
		if (ptrace(PTRACE_CONT, tracee->thread, NULL, NULL) < 0)
			return -1;
		nanosleep(&(struct timespec){ .tv_nsec = 20000 }, NULL);
	}
}

/*
 * The thread stands while this program, or it itself, waits for a processor: six times in all, and on a busy machine that
 * adds up. So both go before everything else for that while, where that is allowed.
 */
static void hurry(pid_t thread, struct schedule *before)
{
	struct schedule first = { .size = sizeof first, .policy = SCHED_FIFO, .priority = 1 };
	if (syscall(__NR_sched_getattr, thread, before, sizeof *before, 0) < 0 || before->policy != SCHED_OTHER ||
	    syscall(__NR_sched_setattr, thread, &first, 0) < 0)
		before->size = 0;
}

static void slow_down(pid_t thread, struct schedule *before)
{
	if (before->size != 0)
		syscall(__NR_sched_setattr, thread, before, 0);
}

/* Only as long as nothing is borrowed: what has begun must come to its end, and needs nothing but a processor. */
static void set_timer(time_t seconds)
{
	struct itimerval timer = { .it_value.tv_sec = seconds };
	setitimer(ITIMER_REAL, &timer, NULL);
}

/* The two system calls, with the registers and the signal mask put back, whatever came of them. */
static int borrow(struct tracee *tracee, int pidfd)
{
	const uint64_t all = ~0ULL;
	long opened = -1, closed;
	int taken = -1, error = 0;
	if (ptrace(PTRACE_GETSIGMASK, tracee->thread, sizeof tracee->mask, &tracee->mask) < 0 ||
	    ptrace(PTRACE_SETSIGMASK, tracee->thread, sizeof all, &all) < 0)
		return -1;
	if (run_syscall(tracee, &opened, __NR_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY, 0) < 0) {
		error = errno;
	} else if (opened < 0) {
		error = (int)-opened;
	} else {
		taken = (int)syscall(__NR_pidfd_getfd, pidfd, (int)opened, 0);
		error = errno;
		if (run_syscall(tracee, &closed, __NR_close, opened, 0) < 0 && taken >= 0) {
			error = errno;
			close(taken);
			taken = -1;
		}
	}
	ptrace(PTRACE_SETREGS, tracee->thread, NULL, &tracee->saved);
	ptrace(PTRACE_SETSIGMASK, tracee->thread, sizeof tracee->mask, &tracee->mask);
	if (taken < 0)
		errno = error;
	return taken;
}

/* From the end of a system call back to a stop of the first kind: on its way out of that the kernel restarts calls. */
static void let_go(struct tracee *tracee)
{
	int status;
	long signal = 0;
	if (ptrace(PTRACE_INTERRUPT, tracee->thread, NULL, NULL) == 0 &&
	    ptrace(PTRACE_CONT, tracee->thread, NULL, NULL) == 0 && next_stop(tracee, &status) == 0 &&
	    status >> 16 == 0 && WSTOPSIG(status) != SIGTRAP)
		signal = WSTOPSIG(status);
	slow_down(tracee->thread, &tracee->schedule);
	ptrace(PTRACE_DETACH, tracee->thread, NULL, signal);
	if (tracee->stop_again)
		kill(tracee->pid, SIGSTOP);
}

static int find_instruction(struct tracee *tracee, int memory)
{
	static unsigned char code[65536];
	struct range vdso;
	if (find_vdso(tracee->pid, &vdso) < 0)
		return -1;
	size_t length = vdso.end - vdso.start;
	ssize_t got = pread(memory, code, length < sizeof code ? length : sizeof code, (off_t)vdso.start);
	unsigned char *found = got > 0 ? memmem(code, (size_t)got, "\x0f\x05", 2) : NULL;
	if (found == NULL) {
		errno = ENOEXEC;
		return -1;
	}
	tracee->instruction = vdso.start + (uint64_t)(found - code);
	return 0;
}

static int attach(struct tracee *tracee)
{
	/* A seccomp filter of the container's may forbid userfaultfd, or kill for it. */
	long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_SUSPEND_SECCOMP;
	if (ptrace(PTRACE_SEIZE, tracee->thread, NULL, options) == 0)
		return 0;
	return (int)ptrace(PTRACE_SEIZE, tracee->thread, NULL, PTRACE_O_TRACESYSGOOD);
}

static int take(struct tracee *tracee, int memory, int pidfd, int64_t *stopped_ns)
{
	int taken = -1, error;
	if (find_instruction(tracee, memory) < 0 || attach(tracee) < 0)
		return -1;
	set_timer(STOP_SECONDS);
	int stopped = stop(tracee, memory);
	error = errno;
	set_timer(0);
	/* Still running, or gone: the end of this program lets go of it. */
	if (stopped < 0 && error != EAGAIN) {
		errno = error;
		return -1;
	}
	if (stopped == 0) {
		hurry(tracee->thread, &tracee->schedule);
		/* A task of 32 bit numbers its system calls otherwise. */
		errno = ENOEXEC;
		if (tracee->saved.cs == 0x33)
			taken = borrow(tracee, pidfd);
	}
	error = errno;
	let_go(tracee);
	if (tracee->since != 0)
		*stopped_ns = monotonic_ns() - tracee->since;
	errno = error;
	return taken;
}

static void wake_up(int signal)
{
	(void)signal;
}

int take_userfaultfd(pid_t pid, int64_t *stopped_ns)
{
	struct tracee tracee = { .pid = pid, .thread = living_thread(pid) };
	*stopped_ns = 0;
	int pidfd = (int)syscall(__NR_pidfd_open, pid, 0), memory = open_proc(pid, "mem", O_RDONLY), taken = -1, error;
	if (tracee.thread == 0)
		errno = ESRCH;
	if (pidfd >= 0 && memory >= 0 && tracee.thread != 0) {
		struct sigaction action = { .sa_handler = wake_up };
		sigset_t all, before;
		sigaction(SIGALRM, &action, NULL);
		/* Nothing but SIGKILL ends this program while the thread has borrowed registers. */
		sigfillset(&all);
		sigdelset(&all, SIGALRM);
		sigprocmask(SIG_BLOCK, &all, &before);
		struct schedule ours;
		hurry(0, &ours);
		taken = take(&tracee, memory, pidfd, stopped_ns);
		error = errno;
		slow_down(0, &ours);
		sigprocmask(SIG_SETMASK, &before, NULL);
		errno = error;
	}
	error = errno;
	if (pidfd >= 0)
		close(pidfd);
	if (memory >= 0)
		close(memory);
	errno = error;
	return taken;
}
