;; A plugin for typed calls only.
(component
  (core module $main
    (memory (export "memory") 1)
    (global $calls (mut i32) (i32.const 0))
    (func (export "next") (result i32)
      (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
      (global.get $calls))
    (func (export "spin") (loop $again (br $again)))
    (func (export "trap") (unreachable)))
  (core instance $main (instantiate $main))
  (func $next (result u32) (canon lift (core func $main "next")))
  (func $spin (canon lift (core func $main "spin")))
  (func $trap (canon lift (core func $main "trap")))
  (instance $counter
    (export "next" (func $next))
    (export "spin" (func $spin))
    (export "trap" (func $trap)))
  (export "test:guest/counter@0.1.0" (instance $counter)))
