#!/bin/sh
# check_freestanding_test.sh NM OBJDUMP CC FLAG... - feeds check_freestanding.sh objects that break its rules one
# by one, and some that break none. FLAGs are those of a build for the machine at hand, without
# -mgeneral-regs-only: the compiler must be able to do what the allocators may not.
set -eu
nm=$1 objdump=$2
shift 2
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
checks=$(dirname "$0")/check_freestanding.sh
failed=0

# object_check EXPECTED CODE COMPILER... - EXPECTED: "ok", or words of the complaint.
object_check() {
    expected=$1
    echo "$2" >"$folder/object.c"
    shift 2
    "$@" -ffreestanding -O2 -c "$folder/object.c" -o "$folder/object.o"
    said=$("$checks" "$nm" "$objdump" "$folder/object.o" 2>&1) && said="ok$said"
    case $said in
    *"$expected"*) ;;
    *)
        echo "check_freestanding_test: expected '$expected', got '$said' for:" >&2
        cat "$folder/object.c" >&2
        failed=1
        ;;
    esac
}

object_check ok 'unsigned f(unsigned x) { return x * 3 + 1; }' "$@"
object_check ok 'void *memcpy(void *, const void *, __SIZE_TYPE__);
void f(void *a, void *b) { memcpy(a, b, 999); }' "$@"
object_check ok 'int g(int); static int h(int x) { return x; } struct t { int (*f)(int); };
extern const struct t a_ops; const struct t a_ops = {h};' "$@"
object_check ok 'struct t { const char *name; int (*f)(int); }; static int h(int x) { return x; }
extern const struct t a_ops; const struct t a_ops = {"a", h};' "$@" -fPIC
object_check 'needs malloc' 'void *malloc(__SIZE_TYPE__); void *f(void) { return malloc(9); }' "$@"
object_check 'needs weak_one' 'int weak_one(void) __attribute__((weak)); int f(void) { return weak_one(); }' "$@"
object_check 'needs __stack_chk' 'void g(char *); void __attribute__((noinline)) g(char *p) { *p = 0; }
void f(int n) { char a[64]; g(a + n); }' "$@" -fstack-protector-all
object_check 'writable data' 'int counter = 1; int f(void) { return ++counter; }' "$@"
object_check 'writable data' 'static int counter; int f(void) { return ++counter; }' "$@"
object_check 'writable data' 'int counter; int f(void) { return ++counter; }' "$@" -fcommon
object_check 'writable data' '_Thread_local int counter = 3; int f(void) { return ++counter; }' "$@"
object_check 'writable data' 'struct t { int (*f)(int); }; static int h(int x) { return x; }
struct t a_ops = {h};' "$@"
object_check 'vector or floating-point' 'float f(float x) { return x * 2; }' "$@"
object_check 'vector or floating-point' 'double f(int x) { return x; }' "$@"
object_check 'vector or floating-point' 'unsigned f(const unsigned *p) { return (unsigned)(*p * 0.5); }' "$@"
case $("$@" -dumpmachine) in
x86_64-*)
    object_check 'vector or floating-point' 'long double f(void) { return 1; }' "$@"
    object_check 'vector or floating-point' 'typedef long v2 __attribute__((vector_size(16)));
void f(v2 *p) { *p += *p; }' "$@"
    object_check 'vector or floating-point' 'void f(void) { __asm__("movd %eax, %mm0"); }' "$@"
    object_check 'vector or floating-point' 'void f(void) { __asm__("vzeroupper"); }' "$@"
    object_check 'needs __divti3' '__int128 f(__int128 a, __int128 b) { return a / b; }' "$@"
    ;;
arm*)
    object_check 'a division' 'unsigned long long f(unsigned long long a, unsigned long long b) { return a / b; }' "$@"
    object_check 'a division' 'unsigned f(unsigned a, unsigned b) { return a / b; }' "$@"
    object_check 'needs __ctzdi2' 'int f(unsigned long long a) { return __builtin_ctzll(a); }' "$@"
    object_check 'needs __aeabi_f' 'float f(float x) { return x * 2; }' "$@" -mfloat-abi=soft
    object_check 'vector or floating-point' '#include <arm_neon.h>
void f(uint32_t *p) { vst1q_u32(p, vaddq_u32(vld1q_u32(p), vld1q_u32(p + 4))); }' "$@" -mfpu=neon
    ;;
esac
if [ "$objdump" != objdump ]; then
    echo 'int f(int x) { return x + 1; }' | "$@" -x c -c - -o "$folder/object.o"
    "$checks" "$nm" objdump "$folder/object.o" 2>/dev/null && {
        echo "check_freestanding_test: an objdump for another machine must not pass" >&2
        failed=1
    }
fi
exit $failed
