package resource

import "reflect"

// Attribute and what the engine declares are generic over a resource's struct, so that declarations
// read plainly (Attribute[Network]). Their code is generic over the pointer to it (AttributeOf[*Network]):
// the compiler makes one copy of generic code for all pointers, but a copy for each struct, and a
// hundred functions for each of some fifty resources would be most of what there is to compile.

// New makes an object with zero values; P is a pointer to a struct.
func New[P any]() P {
	return reflect.New(reflect.TypeFor[P]().Elem()).Interface().(P)
}

// Copy makes an object with the same values (slices and maps are shared).
func Copy[P any](object P) P {
	made := reflect.New(reflect.TypeFor[P]().Elem())
	made.Elem().Set(reflect.ValueOf(object).Elem())
	return made.Interface().(P)
}

// Clear sets an object's fields to zero values.
func Clear[P any](object P) { reflect.ValueOf(object).Elem().SetZero() }

// None is no object: nil.
func None[P any]() (none P) { return none }
