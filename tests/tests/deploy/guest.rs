//! Small components to deploy: an HTTP plugin that answers with one letter.

const BEHAVE: &str = include_str!("../../../host/runtime/tests/guests/behave.wat");
/// What `/ok` answers there: how many requests the instance has had.
const COUNT: &str = "(i32.add (i32.const 64) (global.get $served))";

/// The text of a version that answers `/ok` with this letter.
fn text(letter: char) -> String {
    assert_eq!(BEHAVE.matches(COUNT).count(), 1);
    BEHAVE.replace(COUNT, &format!("(i32.const {})", u32::from(letter)))
}

fn assemble(text: &str) -> Vec<u8> {
    wat::parse_str(text).expect("the guest's text")
}

/// A version that answers `/ok` with this letter. `/trap` traps, `/spin` never ends.
pub fn version(letter: char) -> Vec<u8> {
    assemble(&text(letter))
}

/// A version that traps whatever it is asked.
pub fn broken(letter: char) -> Vec<u8> {
    let whole = text(letter);
    let handle = "(call $reset)\n      (global.set $served";
    assert_eq!(whole.matches(handle).count(), 1);
    assemble(&whole.replace(handle, "(unreachable)\n      (global.set $served"))
}

/// What a self-test does.
#[derive(Clone, Copy)]
pub enum SelfTest {
    Passes,
    /// Says `no room`.
    Refuses,
    Traps,
    Spins,
}

/// A version that tests itself.
pub fn with_self_test(letter: char, test: SelfTest) -> Vec<u8> {
    let body = match test {
        SelfTest::Passes => "(i32.const 0)",
        SelfTest::Refuses => "(i32.const 16)",
        SelfTest::Traps => "(unreachable)",
        SelfTest::Spins => "(loop $again (br $again)) (unreachable)",
    };
    // A result: at 0 one that is well, at 16 an error of 7 bytes at 32.
    let export = format!(
        r#"
  (core module $self
    (memory (export "memory") 1)
    (data (i32.const 16) "\01\00\00\00\20\00\00\00\07\00\00\00")
    (data (i32.const 32) "no room")
    (func (export "run") (result i32) {body}))
  (core instance $self (instantiate $self))
  (alias core export $self "memory" (core memory $self-memory))
  (func $run (result (result (error string)))
    (canon lift (core func $self "run") (memory $self-memory)))
  (instance $test (export "run" (func $run)))
  (export "lakehouse:plugin/self-test@0.1.0" (instance $test)))"#
    );
    let whole = text(letter);
    let whole = whole.trim_end().strip_suffix(')').expect("a component");
    assemble(&format!("{whole}{export}"))
}

/// The same with a custom section of this many bytes.
pub fn padded(component: &[u8], bytes: usize) -> Vec<u8> {
    let mut padded = component.to_vec();
    // The section holds a name, `x`, and the rest.
    let mut left = bytes + 2;
    padded.push(0);
    loop {
        let low = (left & 0x7f) as u8;
        left >>= 7;
        padded.push(if left == 0 { low } else { low | 0x80 });
        if left == 0 {
            break;
        }
    }
    padded.extend_from_slice(b"\x01x");
    padded.resize(padded.len() + bytes, b'.');
    padded
}
